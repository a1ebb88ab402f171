#include "recompile.h"

#include <cstdio>
#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include "../error.h"
#include "../limits/limits.h"
#include "../os.h"
#include "../sha256.h"
#include "../tar.h"
#include "adoption.h"
#include "ggml-backend-impl.h"

namespace ingot::gpu {

static constexpr uint64_t SCRATCH_BYTES = 256 << 20;  // units, objects, the compiler's own temporary files
// A compiler that could not write has removed what it wrote, and may not have had room for its words.
static constexpr uint64_t NOTHING_LEFT = 4 << 20, LITTLE_LEFT = 64 << 20;
static constexpr int      LOAD_SECONDS  = 60;
static const char *       SOURCES = "sources/gpu.tar";

static std::string digest(const std::string & text) { return sha256_hex(text.data(), text.size()); }

std::string sources_digest(const Bundle & bundle) {
    const Entry * archive = bundle.manifest.named(SOURCES);
    return archive ? archive->sha256 : "";
}

static Strings architectures(const Probe & probe) {
    Strings found;
    for (const auto & device : probe.devices) found.push_back(architecture(device));
    return sorted_architectures(found);
}

std::string start_key(const std::string & kind, const std::string & sources, const KernelSet & set, const Probe & probe) {
    std::string text = kind + "\n" + sources + "\n" + to_json(set).dump() + "\n" + std::to_string(GGML_BACKEND_API_VERSION) + "\n";
    for (const auto & name : architectures(probe)) text += name + " ";
    return digest(text + std::to_string(probe.driver / 1000));
}

static void tell(const Advance & advance) {
    if (advance.name.empty()) return;
    const bool live = os::is_terminal(stderr);
    std::fprintf(stderr, live ? "\r\x1b[K[%zu/%zu] %s" : "[%zu/%zu] %s\n", advance.done, advance.units, advance.name.c_str());
    if (live && advance.done == advance.units) std::fputs("\n", stderr);
}

std::string log_of(const Failure & failure) {
    if (failure.hint.rfind("see ", 0) != 0) return "";
    std::ifstream stream(failure.hint.substr(4), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

void tell_log(const Failure & failure) {
    const std::string log = log_of(failure);
    std::fputs(log.c_str(), stderr);
    const bool named = failure.hint.rfind("see ", 0) == 0;
    throw Failure(failure.code, failure.what(),
                  !log.empty() ? "the compiler's words are above" : named ? "it printed nothing" : failure.hint);
}

os::TemporaryFolder workplace(const ModuleCache & cache) {
    std::string why;
    auto folder = cache.scratch(SCRATCH_BYTES, why);
    if (!folder) throw Failure(EXIT_TOOLCHAIN, "there is no place to compile in: " + why, "name one with --cache-dir, or set TMPDIR");
    return std::move(*folder);
}

void use_objects(ModuleRequest & request, const ModuleCache & cache) {
    request.take_object = [&cache](const std::string & key, const std::string & path) {
        std::string why;
        const auto object = cache.object(key, why);
        return object && object->write_to(path, why);
    };
    request.keep_object = [&cache](const std::string & key, const std::string & path) {
        std::string why;
        if (const auto object = os::SealedFile::copy(path, why)) cache.store_object(key, *object, why);
    };
}

// Not remembered: it says nothing about the module.
bool disk_is_full(const Failure & failure, const std::string & scratch) {
    const std::string words = failure.what() + log_of(failure);
    return words.find("No space left on device") != std::string::npos || words.find("Disk quota exceeded") != std::string::npos ||
           os::available_bytes(scratch) < (log_of(failure).empty() ? LITTLE_LEFT : NOTHING_LEFT);
}

[[noreturn]] static void refuse_full_disk(const Failure & failure, const std::string & place) {
    throw Failure(EXIT_TOOLCHAIN, "the disk is full: " + std::string(failure.what()),
                  "make room in " + place + ", or name another place with --cache-dir");
}

// One recompilation under the key's lock.
class Recompilation {
  public:
    Recompilation(const Bundle & bundle, const KernelSet & set, const Options & options, const Backend & backend, const ModuleCache & cache,
                  std::string key)
        : bundle_(bundle), set_(set), options_(options), backend_(backend), cache_(cache), key_(std::move(key)) {}

    Outcome make() {
        const auto scratch = workplace(cache_);
        try {
            return make_in(scratch.path());
        } catch (const Failure & failure) {
            const std::string above = scratch.path().substr(0, scratch.path().rfind('/'));
            if (disk_is_full(failure, scratch.path())) refuse_full_disk(failure, stage_ == Stage::keeping ? cache_.folder() : above);
            // What is remembered is that this module cannot be made: not that a compiler is
            // missing, which may be installed before the next try, nor what befell a sound module.
            if (stage_ == Stage::finding_tools) tell_log(failure);
            if (stage_ == Stage::keeping) throw;
            std::string ignored;
            cache_.remember_failure(key_, failure.what(), log_of(failure), ignored);
            const auto past = cache_.failure(key_);
            throw Failure(failure.code, failure.what(), past ? "the whole log: " + past->log_path : failure.hint);
        }
    }

  private:
    Outcome make_in(const std::string & scratch) {
        ModuleRequest request;
        request.backend       = &backend_;
        request.set           = set_;
        request.architectures = architectures(backend_.devices());
        request.sources       = scratch + "/sources";
        request.scratch       = scratch;
        request.jobs          = limits::cpus().logical;
        unpack_tar(bundle_.read(*bundle_.manifest.named(SOURCES)), request.sources);
        request.toolkit = backend_.find_toolkit(options_.tools, request.architectures, scratch);
        stage_          = Stage::compiling;
        use_objects(request, cache_);
        const Module module = make_module(request, tell);
        std::string  why;
        const auto   sealed = os::SealedFile::copy(module.path, why);
        if (!sealed) throw Failure(EXIT_TOOLCHAIN, "the module cannot be held in memory: " + why);
        const auto     kept     = cache_.lookup(key_, why);
        const Adoption adoption = examine(*sealed, kept ? &*kept : nullptr, bundle_, set_, options_);
        stage_ = Stage::keeping;
        return keep(module, request, *sealed, adoption);
    }

    Outcome keep(const Module & module, const ModuleRequest & request, const os::SealedFile & sealed, const Adoption & adoption) {
        nlohmann::json about = {{"kind", backend_.kind},
                                {"archs", request.architectures},
                                {"key", module.key},
                                {"toolkit", request.toolkit.version},
                                {"host_compiler", request.toolkit.host_version},
                                {"units", module.units},
                                {"prompt_seconds", adoption.speed.prompt},
                                {"generation_seconds", adoption.speed.generation},
                                {"cpu_seconds", module.cpu_seconds},
                                {"wall_seconds", module.wall_seconds}};
        if (request.backend == &CUDA) {
            for (const auto & name : request.architectures) about["cubins"].push_back(std::atoi(name.c_str()));
            about["cuda"] = std::atoi(request.toolkit.version.c_str());
        }
        std::string why;
        char line[256];
        std::snprintf(line, sizeof line, "compiled %zu of %zu units in %.0f s (%.1f MB), tested: ", module.compiled, module.units,
                      module.wall_seconds, (double) sealed.size() / 1e6);
        const Standing & used = adoption.used;
        // What is there is either not wanted (--force) or does not load any more.
        if (!cache_.store(key_, sealed, about.dump(), why, ModuleCache::Sound::replace)) {
            throw Failure(EXIT_TOOLCHAIN, "the module works but cannot be kept: " + why, "name another place with --cache-dir");
        }
        return {true, line + in_words(adoption.speed) + ", with " + used.name + " " + in_words(used.speed) + "; it is used from the next start on"};
    }

    const Bundle &      bundle_;
    const KernelSet &   set_;
    const Options &     options_;
    const Backend &     backend_;
    const ModuleCache & cache_;
    const std::string   key_;
    enum class Stage { finding_tools, compiling, keeping } stage_ = Stage::finding_tools;
};

// Whether a kept module can still be mapped: the ROCm that it was linked to may be another by now.
static bool still_loads(const os::SealedFile & module) {
    os::Trial trial([&] {
        std::string ignored;
        return module.load("ggml_backend_init", ignored) != nullptr;
    }, LOAD_SECONDS);
    std::string ignored;
    return trial.passed(ignored);
}

// Something that makes compiling unnecessary, or pointless.
static bool settled(const ModuleCache & cache, const std::string & key, const Options & options, Outcome & outcome) {
    if (options.force) return false;
    std::string why;
    if (const auto module = cache.lookup(key, why)) {
        outcome.line = "the module for this model and GPU is there already";
        return still_loads(*module);
    }
    if (const auto past = cache.failure(key)) {
        throw Failure(EXIT_TOOLCHAIN, "it failed before: " + past->reason, "the log: " + past->log_path + "; --force tries again");
    }
    return false;
}

// The backend to compile for, whose GPUs are here.
static const Backend & choose_backend(const std::string & kind) {
    std::string why;
    for (const Backend * backend : backends()) {
        if (kind != "auto" && kind != backend->kind) continue;
        const Probe & probe = backend->devices();
        if (!probe.devices.empty()) return *backend;
        if (kind == "auto" && backend == &METAL && !why.empty()) continue;  // nobody expects one here
        why += (why.empty() ? "" : "; ") + probe.why;
    }
    if (why.empty()) throw Failure(EXIT_USAGE, "no module is compiled for --gpu " + kind, "one of auto, nvidia, amd, apple");
    throw Failure(EXIT_GPU, "nothing to compile for: " + why, "the CPU needs no compiling");
}

Outcome recompile(const Bundle & bundle, const KernelSet & set, const Options & options, const std::string & kind) {
    const Backend & backend = choose_backend(kind);
    const std::string sources = sources_digest(bundle);
    if (sources.empty()) throw Failure(EXIT_INPUT, "this executable carries no GPU sources", "build it without --no-sources");

    std::string why;
    const ModuleCache cache = ModuleCache::open(options.cache_dir, ModuleCache::Access::write, why);
    if (!cache.keeps()) throw Failure(EXIT_INPUT, "a module cannot be kept: " + why, "name another place with --cache-dir");
    const std::string key = start_key(backend.kind, sources, set, backend.devices());

    Outcome outcome;
    if (settled(cache, key, options, outcome)) return outcome;
    bool told = false;
    const auto lock = cache.lock(key, [&](double) {
        if (!told) std::fputs("another process is compiling the same module; waiting for it\n", stderr);
        return told = true;
    }, why);
    if (settled(cache, key, options, outcome)) return outcome;
    return Recompilation(bundle, set, options, backend, cache, key).make();
}

}  // namespace ingot::gpu
