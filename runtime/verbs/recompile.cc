// Makes a GPU module: on the machine where it will run (--recompile), or for the builder
// (--output), which names sources, architectures and model.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "../error.h"
#include "../limits/limits.h"
#include "../gpu/load.h"
#include "../gpu/recompile.h"
#include "../os.h"
#include "../tar.h"
#include "verbs.h"

namespace ingot::verbs {

static std::string one(Args & user, const char * name) {
    const Args values = take_values(user, {name});
    return values.empty() ? "" : values.back();
}

static KernelSet wanted_set(const Bundle * bundle, const Args & user) {
    const auto set = gpu::kernel_set_for(bundle, user);
    if (!set) throw Failure(EXIT_INPUT, "the engine cannot say which kernels this model needs", "the command 'kernels' tells why");
    return *set;
}

static int number(const std::string & text, const char * what, int low, int high) {
    char * end = nullptr;
    const long value = std::strtol(text.c_str(), &end, 10);
    if (text.empty() || *end || value < low || value > high) throw Failure(EXIT_USAGE, std::string(what) + " " + text + ": not a number that can be");
    return (int) value;
}

// A compute capability, or a name that can be part of a compiler's argument.
static std::string arch(const std::string & text, const gpu::Backend & backend) {
    if (&backend == &gpu::CUDA) return std::to_string(number(text, "--arch", 50, 999));
    const bool plain = std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; });
    if (text.empty() || !plain) throw Failure(EXIT_USAGE, "--arch " + text + ": not the name of an architecture");
    return text;
}

// `given`: a folder, or the archive that executables carry, which is unpacked below `scratch`.
static std::string sources_of(const std::string & given, const std::string & scratch) {
    if (std::filesystem::is_directory(given)) return given;
    std::ifstream stream(given, std::ios::binary);
    if (!stream) throw Failure(EXIT_INPUT, "--sources " + given + ": there is no such folder or archive");
    unpack_tar({std::istreambuf_iterator<char>(stream), {}}, scratch + "/sources");
    return scratch + "/sources";
}

static gpu::ModuleRequest request_of(const Bundle * bundle, Args & user) {
    gpu::ModuleRequest request;
    request.sources = one(user, "--sources");
    request.ptx     = take_flag(user, {"--ptx"});
    const std::string jobs = one(user, "--jobs");
    request.jobs = jobs.empty() ? limits::cpus().logical : (unsigned) number(jobs, "--jobs", 1, 1024);
    const std::string & kind = gpu::options().kind;
    request.backend = gpu::backend_of(kind == "auto" ? "nvidia" : kind);
    if (!request.backend) throw Failure(EXIT_USAGE, "no module is compiled for --gpu " + kind, "one of nvidia, amd, apple");
    for (const auto & text : take_values(user, {"--arch"})) request.architectures.push_back(arch(text, *request.backend));
    request.architectures = gpu::sorted_architectures(request.architectures);
    if (request.architectures.empty() || request.sources.empty()) throw Failure(EXIT_USAGE, "--output needs --sources FOLDER-OR-TAR and --arch NAME");
    request.set = wanted_set(bundle, user);
    return request;
}

static void print_module(const gpu::Module & module, const gpu::ModuleRequest & request, const std::string & output) {
    nlohmann::json stubs = nlohmann::json::object();
    for (const auto & [unit, names] : module.stubs) stubs[unit] = names.size();
    const nlohmann::json document = {
        {"module", output}, {"bytes", std::filesystem::file_size(output)}, {"kind", request.backend->kind}, {"archs", request.architectures}, {"ptx", request.ptx}, {"key", module.key},
        {"cpu_seconds", module.cpu_seconds}, {"wall_seconds", module.wall_seconds}, {"units", module.units},
        {"compiled", module.compiled}, {"stubs", stubs}, {"left_out", module.left_out}, {"toolkit", request.toolkit.version},
        {"host_compiler", request.toolkit.host_version}};
    std::puts(document.dump().c_str());
}

static int for_builder(const Bundle * bundle, Args user, const std::string & output) {
    take_flag(user, {"--json"});
    const std::string objects = one(user, "--object-cache");
    gpu::ModuleRequest request = request_of(bundle, user);
    std::string why;
    const ModuleCache cache = ModuleCache::open(objects, ModuleCache::Access::write, why);
    const auto scratch = gpu::workplace(cache);
    request.scratch = scratch.path();
    request.sources = sources_of(request.sources, request.scratch);
    if (!objects.empty()) gpu::use_objects(request, cache);
    try {
        request.toolkit = request.backend->find_toolkit(gpu::options().tools, request.architectures, request.scratch);
        const gpu::Module module = gpu::make_module(request, [](size_t done, size_t total, const std::string & name) {
            if (!name.empty()) std::fprintf(stderr, "[%zu/%zu] %s\n", done, total, name.c_str());
        });
        std::error_code error;
        std::filesystem::copy_file(module.path, output, std::filesystem::copy_options::overwrite_existing, error);
        if (error) throw Failure(EXIT_TOOLCHAIN, output + ": cannot be written: " + error.message());
        print_module(module, request, output);
    } catch (const Failure & failure) {
        gpu::tell_log(failure);
    }
    return EXIT_DONE;
}

int recompile(const Bundle * bundle, Args user) {
    const std::string output = one(user, "--output");
    if (!output.empty()) return for_builder(bundle, user, output);
    if (gpu::options().nocompile) throw Failure(EXIT_USAGE, "--nocompile forbids it");
    if (!bundle) throw Failure(EXIT_USAGE, "the bare runtime carries no sources to compile", "use an executable: 'ingot build'");
    const gpu::Outcome outcome = gpu::recompile(*bundle, wanted_set(bundle, user), gpu::options(), gpu::options().kind);
    std::printf("%s\n", outcome.line.c_str());
    return EXIT_DONE;
}

}  // namespace ingot::verbs
