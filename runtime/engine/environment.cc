#include "environment.h"

#include <cstdio>
#include <cstdlib>
#include <set>

#include "../args.h"

extern char ** environ;

namespace ingot {

// Variables that would replace the model, or fetch something.
static bool names_a_model(const std::string & variable) {
    static const std::set<std::string> names = {
        "LLAMA_ARG_MODEL",     "LLAMA_ARG_MODEL_URL", "LLAMA_ARG_DOCKER_REPO", "LLAMA_ARG_HF_REPO",
        "LLAMA_ARG_HF_FILE",   "LLAMA_ARG_HF_REPO_V", "LLAMA_ARG_HF_FILE_V",   "LLAMA_ARG_MMPROJ",
        "LLAMA_ARG_MMPROJ_URL", "LLAMA_ARG_HFD_REPO", "LLAMA_ARG_MODEL_DRAFT", "LLAMA_ARG_SPEC_DRAFT_MODEL",
        "LLAMA_ARG_SPEC_DRAFT_HF_REPO"};
    return names.count(variable) > 0;
}

void clean_environment() {
    if (std::getenv("LLAMA_SERVER_ROUTER_PORT")) return;  // a router names a child's model to it in this way
    std::string ignored;
    Args variables;
    for (char ** variable = environ; *variable; ++variable) variables.emplace_back(*variable);
    for (const std::string & variable : variables) {
        const size_t equals = variable.find('=');
        const std::string name = variable.substr(0, equals);
        if (name.rfind("LLAMA_ARG_", 0) != 0) continue;
        const bool empty = equals + 1 >= variable.size();
        if (name == "LLAMA_ARG_API_KEY_FILE") continue;  // empty, it must not mean a server without a key
        if (!empty && !names_a_model(name)) continue;
        unsetenv(name.c_str());
        if (!empty) ignored += (ignored.empty() ? "" : ", ") + name;
    }
    if (ignored.empty()) return;
    std::fprintf(stderr, "note: %s of the environment is ignored: the model is the one inside, and -m FILE names another\n",
                 ignored.c_str());
}

}  // namespace ingot
