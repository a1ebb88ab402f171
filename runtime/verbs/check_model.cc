// For the builder: whether the engine loads these files, and what it says about them.
#include <cstdio>

#include "../error.h"
#include "../judge/model.h"
#include "verbs.h"

namespace ingot::verbs {

static std::string last(const Args & values) { return values.empty() ? "" : values.back(); }

static ggml_type cache_type(Args & user, std::initializer_list<const char *> flags) {
    const std::string name = last(take_values(user, flags));
    const ggml_type   type = name.empty() ? GGML_TYPE_F16 : type_named(name);
    if (type == GGML_TYPE_COUNT) throw Failure(EXIT_USAGE, "there is no tensor type '" + name + "'");
    return type;
}

int check_model(const Bundle *, Args user) {
    ModelFiles files;
    files.model     = last(take_values(user, {"-m"}));
    files.adapters  = take_values(user, {"--lora"});
    files.projector = last(take_values(user, {"--mmproj"}));
    files.cache     = {cache_type(user, {"-ctk"}), cache_type(user, {"-ctv"})};
    const bool verbose = take_flag(user, {"-v"});
    if (files.model.empty() || !user.empty()) throw Failure(EXIT_USAGE, "check-model takes -m, --lora, --mmproj, -ctk, -ctv and -v");

    const ModelVerdict verdict = judge_model(files, verbose);
    const nlohmann::json answer = {{"kernels", to_json(verdict.kernels)}, {"template_fault", verdict.template_fault}};
    std::puts(answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return EXIT_DONE;
}

}  // namespace ingot::verbs
