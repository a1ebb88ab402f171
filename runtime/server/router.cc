#include "router.h"

#include <cstdlib>
#include <filesystem>

#include "../error.h"
#include "../gpu/options.h"
#include "../seams.h"

namespace ingot::router {

// Options about how the server is reached, which the author's defaults may set for the router too.
static const std::set<std::string> SERVER_OPTIONS = {
    "--host", "--port", "--reuse-port", "--path", "--api-prefix", "--ui", "--ui-config", "--api-key", "-to", "--timeout",
    "--threads-http", "--cors-origins", "--cors-methods", "--cors-headers", "--cors-credentials"};

static const char * const VARIABLES[] = {"LLAMA_ARG_MODELS_DIR", "LLAMA_ARG_MODELS_PRESET", "LLAMA_ARG_MODELS_MAX",
                                         "LLAMA_ARG_MODELS_AUTOLOAD", "LLAMA_ARG_NO_MODELS_AUTOLOAD"};

static bool has_router_flag(const Args & args) {
    return has_flag(args, {"--models-dir", "--models-preset", "--models-max", "--models-autoload",
                           "--no-models-autoload"});
}

static bool in_environment() {
    for (const char * name : VARIABLES) {
        if (const char * value = std::getenv(name); value && *value) return true;
    }
    return false;
}

bool is_child() { return std::getenv("LLAMA_SERVER_ROUTER_PORT") != nullptr; }

bool is_downloading() {
    const char * mode = std::getenv("LLAMA_SERVER_CHILD_MODE");
    return is_child() && mode && std::string(mode) == "download";
}

bool asked_for(const Bundle * bundle, const Args & user) {
    if (is_child()) return false;
    const bool by_flag = has_router_flag(user);
    if (names_other_model(user)) {
        if (by_flag) {
            throw Failure(EXIT_USAGE, "a router has many models, and the arguments name one",
                          "leave out -m, or --models-dir and the like");
        }
        return false;
    }
    return by_flag || (bundle && has_router_flag(bundle->manifest.default_args)) || in_environment();
}

Args without_own_model(const Args & user) {
    Args rest;
    for (size_t i = 0; i < user.size(); ++i) {
        const bool is_flag  = user[i] == "-m" || user[i] == "--model";
        const bool names_it = is_flag && i + 1 < user.size() && user[i + 1] == MAIN_MODEL;
        if (names_it) ++i;
        else rest.push_back(user[i]);
    }
    return rest;
}

Args compose(const Bundle * bundle, const Args & extra, const Args & user) {
    Args own = extra;
    if (bundle) {
        std::set<std::string> options = SERVER_OPTIONS;
        options.insert({"--models-dir", "--models-preset", "--models-max", "--models-autoload"});
        const Args baked = named_options(LLAMA_EXAMPLE_SERVER, bundle->manifest.default_args, options);
        own.insert(own.end(), baked.begin(), baked.end());
    }
    return compose_without_model(bundle, LLAMA_EXAMPLE_SERVER, own, user);
}

// The carried model lies in a folder that no file system has: the model, and its projector beside it.
static const std::string FOLDER = "bundle:";
static bool lists_carried = false;
static bool lists_folder  = false;

// Flags of Ingot's own that hold for each of the models, a line each.
static std::string own_flags() {
    std::string flags = "--gpu\n" + gpu::options().kind + "\n";
    if (gpu::options().nocompile) flags += "--nocompile\n";
    if (gpu::options().require) flags += "--require-gpu\n";
    if (const auto & folder = gpu::options().cache_dir) flags += "--cache-dir\n" + *folder + "\n";
    if (is_deterministic()) flags += "--deterministic\n";
    return flags;
}

static void need_lists(const common_params & params) {
    if (!params.models_dir.empty() && !std::filesystem::is_directory(params.models_dir)) {
        throw Failure(EXIT_INPUT, "there is no folder " + params.models_dir, "--models-dir takes a folder of GGUF files");
    }
    if (!params.models_preset.empty() && !std::filesystem::is_regular_file(params.models_preset)) {
        throw Failure(EXIT_INPUT, "there is no file " + params.models_preset, "--models-preset takes an INI file");
    }
}

void prepare(const Bundle * bundle, common_params & params) {
    need_lists(params);
    // The engine, which starts them, knows no flags of ours.
    setenv(CHILDS_FLAGS, own_flags().c_str(), 1);
    lists_carried = bundle && bundle->manifest.first("model");
    lists_folder  = !params.models_dir.empty();
    // A folder that is there, to be asked for a list; ingot_fs_list answers.
    if (!lists_folder) params.models_dir = "/";
}

static common_file_info entry(const std::string & path, const std::string & name, bool folder) {
    common_file_info info;
    info.path   = path;
    info.name   = name;
    info.is_dir = folder;
    return info;
}

static std::vector<common_file_info> carried_files(const Bundle & bundle) {
    std::vector<common_file_info> files{entry(MAIN_MODEL, "main.gguf", false)};
    if (bundle.manifest.first("projector")) files.push_back(entry(bundle.file.path(), "mmproj.gguf", false));
    return files;
}

}  // namespace ingot::router

std::vector<common_file_info> ingot_fs_list(const std::string & path, bool folders) {
    using namespace ingot::router;
    const ingot::Bundle * bundle = ingot::own_bundle();
    if (bundle && path == FOLDER) return carried_files(*bundle);
    std::vector<common_file_info> files;
    if (lists_folder || !folders) files = fs_list(path, folders);
    if (lists_carried && folders) files.push_back(entry(FOLDER, bundle->manifest.name, true));
    return files;
}
