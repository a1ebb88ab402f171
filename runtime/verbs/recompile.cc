// Makes a GPU module: on the machine where it will run (--recompile), or for the builder
// (--output), which names sources, architectures and model. Tells what that would take (--plan).
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

// What to compile for; not yet where, nor from what.
static gpu::ModuleRequest request_of(const Bundle * bundle, Args & user) {
    gpu::ModuleRequest request;
    const std::string jobs = one(user, "--jobs");
    request.jobs = jobs.empty() ? limits::cpus().logical : (unsigned) number(jobs, "--jobs", 1, 1024);
    const std::string & kind = gpu::options().kind;
    request.backend = gpu::backend_of(kind == "auto" ? "nvidia" : kind);
    if (!request.backend) throw Failure(EXIT_USAGE, "no module is compiled for --gpu " + kind, "one of nvidia, amd, apple");
    for (const auto & text : take_values(user, {"--arch"})) request.architectures.push_back(arch(text, *request.backend));
    request.architectures = gpu::sorted_architectures(request.architectures);
    if (request.architectures.empty()) throw Failure(EXIT_USAGE, "--output and --plan need --arch NAME");
    request.set = wanted_set(bundle, user);
    return request;
}

// What making a module would take: {"archs", "here", "units", "cpu_seconds"}. `cpu_seconds`, of one
// core, is an estimate. With --here the architectures are those of this machine's GPUs if it has
// any, and those of --arch if not.
static int plan(const Bundle * bundle, Args user) {
    take_flag(user, {"--json"});
    const bool here = take_flag(user, {"--here"});
    gpu::ModuleRequest request = request_of(bundle, user);
    gpu::Strings found;
    for (const auto & device : here ? request.backend->devices().devices : std::vector<gpu::Device>{}) {
        found.push_back(gpu::architecture(device));
    }
    if (!found.empty()) request.architectures = gpu::sorted_architectures(found);
    const nlohmann::json document = {{"archs", request.architectures}, {"here", !found.empty()},
                                     {"units", request.backend->plan(request).units.size()},
                                     {"cpu_seconds", gpu::compile_seconds(request)}};
    std::puts(document.dump().c_str());
    return EXIT_DONE;
}

static void print_module(const gpu::Module & module, const gpu::ModuleRequest & request, const std::string & output) {
    nlohmann::json stubs = nlohmann::json::object();
    for (const auto & [unit, names] : module.stubs) stubs[unit] = names.size();
    const nlohmann::json document = {
        {"module", output}, {"bytes", std::filesystem::file_size(output)}, {"kind", request.backend->kind}, {"archs", request.architectures}, {"ptx", request.ptx}, {"key", module.key},
        {"cpu_seconds", module.cpu_seconds}, {"wall_seconds", module.wall_seconds}, {"units", module.units},
        {"compiled", module.compiled}, {"unit_seconds", module.unit_seconds}, {"stubs", stubs}, {"left_out", module.left_out}, {"toolkit", request.toolkit.version},
        {"host_compiler", request.toolkit.host_version}};
    std::puts(document.dump().c_str());
}

static void tell(const gpu::Advance & advance) {
    std::fprintf(stderr, "[%zu/%zu] %.0f/%.0f %s\n", advance.done, advance.units, advance.work_done, advance.work, advance.name.c_str());
}

static int for_builder(const Bundle * bundle, Args user, const std::string & output) {
    take_flag(user, {"--json"});
    const std::string objects = one(user, "--object-cache"), sources = one(user, "--sources");
    const bool ptx = take_flag(user, {"--ptx"});
    if (sources.empty()) throw Failure(EXIT_USAGE, "--output needs --sources FOLDER-OR-TAR");
    gpu::ModuleRequest request = request_of(bundle, user);
    request.ptx = ptx;
    std::string why;
    const ModuleCache cache = ModuleCache::open(objects, ModuleCache::Access::write, why);
    const auto scratch = gpu::workplace(cache);
    request.scratch = scratch.path();
    request.sources = sources_of(sources, request.scratch);
    if (!objects.empty()) gpu::use_objects(request, cache);
    try {
        request.toolkit = request.backend->find_toolkit(gpu::options().tools, request.architectures, request.scratch);
        const gpu::Module module = gpu::make_module(request, tell);
        std::error_code error;
        std::filesystem::copy_file(module.path, output, std::filesystem::copy_options::overwrite_existing, error);
        if (error) throw Failure(EXIT_TOOLCHAIN, output + ": cannot be written: " + error.message());
        print_module(module, request, output);
    } catch (const Failure & failure) {
        if (gpu::disk_is_full(failure, request.scratch)) {
            throw Failure(EXIT_TOOLCHAIN, "the disk is full: " + std::string(failure.what()), "make room; INGOT_CACHE and TMPDIR name other places");
        }
        gpu::tell_log(failure);
    }
    return EXIT_DONE;
}

int recompile(const Bundle * bundle, Args user) {
    const std::string output = one(user, "--output");
    if (!output.empty()) return for_builder(bundle, user, output);
    if (take_flag(user, {"--plan"})) return plan(bundle, user);
    if (gpu::options().nocompile) throw Failure(EXIT_USAGE, "--nocompile forbids it");
    if (!bundle) throw Failure(EXIT_USAGE, "the bare runtime carries no sources to compile", "use an executable: 'ingot build'");
    const gpu::Outcome outcome = gpu::recompile(*bundle, wanted_set(bundle, user), gpu::options(), gpu::options().kind);
    std::printf("%s\n", outcome.line.c_str());
    return EXIT_DONE;
}

}  // namespace ingot::verbs
