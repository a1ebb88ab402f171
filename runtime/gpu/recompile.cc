#include "recompile.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include "../error.h"
#include "../os.h"
#include "../sha256.h"
#include "adoption.h"
#include "ggml-backend-impl.h"

namespace ingot::gpu {

namespace fs = std::filesystem;

static constexpr uint64_t SCRATCH_BYTES = 256 << 20;  // units, objects, nvcc's own temporary files
static const std::string  SOURCES = "sources/cuda/";

static std::string digest(const std::string & text) { return sha256_hex(text.data(), text.size()); }

std::string sources_digest(const Bundle & bundle) {
    std::vector<std::string> lines;
    for (const Entry * entry : bundle.manifest.all("source")) {
        if (entry->name.rfind(SOURCES, 0) == 0) lines.push_back(entry->sha256 + " " + entry->name + "\n");
    }
    std::sort(lines.begin(), lines.end());
    std::string all;
    for (const auto & line : lines) all += line;
    return lines.empty() ? "" : digest(all);
}

static std::vector<int> capabilities(const Probe & probe) {
    std::set<int> found;
    for (const auto & device : probe.devices) found.insert(device.capability);
    return {found.begin(), found.end()};
}

std::string start_key(const std::string & sources, const KernelSet & set, const Probe & probe) {
    std::string text = sources + "\n" + to_json(set).dump() + "\n" + std::to_string(GGML_BACKEND_API_VERSION) + "\n";
    for (int capability : capabilities(probe)) text += std::to_string(capability) + " ";
    return digest(text + std::to_string(probe.driver / 1000));
}

// Writes the carried sources below `folder`, as make_module wants them.
static void unpack_sources(const Bundle & bundle, const fs::path & folder) {
    for (const Entry * entry : bundle.manifest.all("source")) {
        if (entry->name.rfind(SOURCES, 0) != 0) continue;
        const fs::path to = folder / entry->name.substr(SOURCES.size());
        fs::create_directories(to.parent_path());
        const auto bytes = bundle.read(*entry);
        std::ofstream stream(to, std::ios::binary);
        stream.write(reinterpret_cast<const char *>(bytes.data()), (std::streamsize) bytes.size());
        stream.close();
        if (!stream) throw Failure(EXIT_INPUT, to.string() + ": cannot be written: is the disk full?", "choose another place with --cache-dir");
    }
}

static void tell(size_t done, size_t total, const std::string & name) {
    if (name.empty()) return;
    std::fprintf(stderr, os::is_terminal(stderr) ? "\r\x1b[K[%zu/%zu] %s" : "[%zu/%zu] %s\n", done, total, name.c_str());
    if (done == total && os::is_terminal(stderr)) std::fputs("\n", stderr);
}

std::string log_of(const Failure & failure) {
    if (failure.hint.rfind("see ", 0) != 0) return "";
    std::ifstream stream(failure.hint.substr(4), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
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

// One recompilation under the key's lock.
class Recompilation {
  public:
    Recompilation(const Bundle & bundle, const KernelSet & set, const Options & options, const ModuleCache & cache, std::string key)
        : bundle_(bundle), set_(set), options_(options), cache_(cache), key_(std::move(key)) {}

    Outcome make() {
        const auto scratch = workplace(cache_);
        try {
            return make_in(scratch.path());
        } catch (const Failure & failure) {
            std::string ignored;
            cache_.remember_failure(key_, failure.what(), log_of(failure), ignored);
            const auto past = cache_.failure(key_);
            throw Failure(failure.code, failure.what(), past ? "the whole log: " + past->log_path : failure.hint);
        }
    }

  private:
    Outcome make_in(const std::string & scratch) {
        const Probe & probe = nvidia_devices();
        ModuleRequest request;
        request.set          = set_;
        request.capabilities = capabilities(probe);
        request.sources      = scratch + "/sources";
        request.scratch      = scratch;
        request.jobs         = os::cpu_count();
        unpack_sources(bundle_, request.sources);
        request.toolkit     = find_toolkit(options_.nvcc, options_.host_compiler, std::to_string(request.capabilities.back()), scratch);
        use_objects(request, cache_);
        const Module module = make_module(request, tell);
        std::string  why;
        const auto   sealed = os::SealedFile::copy(module.path, why);
        if (!sealed) throw Failure(EXIT_TOOLCHAIN, "the module cannot be held in memory: " + why);
        const auto     kept     = cache_.lookup(key_, why);
        const Adoption adoption = examine(*sealed, kept ? &*kept : nullptr, bundle_, set_, options_);
        return keep(module, request, *sealed, adoption);
    }

    Outcome keep(const Module & module, const ModuleRequest & request, const os::SealedFile & sealed, const Adoption & adoption) {
        const nlohmann::json about = {{"key", module.key},
                                      {"cubins", request.capabilities},
                                      {"cuda", std::atoi(request.toolkit.version.c_str())},
                                      {"nvcc", request.toolkit.version},
                                      {"host_compiler", request.toolkit.host_version},
                                      {"units", module.units},
                                      {"prompt_seconds", adoption.speed.prompt},
                                      {"generation_seconds", adoption.speed.generation},
                                      {"cpu_seconds", module.cpu_seconds},
                                      {"wall_seconds", module.wall_seconds}};
        std::string why;
        if (options_.force) cache_.discard(key_, why);
        char line[256];
        std::snprintf(line, sizeof line, "compiled %zu of %zu units in %.0f s (%.1f MB), tested: ", module.compiled, module.units,
                      module.wall_seconds, (double) sealed.size() / 1e6);
        const Standing & used = adoption.used;
        if (!cache_.store(key_, sealed, about.dump(), why)) {
            throw Failure(EXIT_INPUT, "the module works but cannot be kept: " + why, "name another place with --cache-dir");
        }
        return {true, line + in_words(adoption.speed) + ", with " + used.name + " " + in_words(used.speed) + "; it is used from the next start on"};
    }

    const Bundle &      bundle_;
    const KernelSet &   set_;
    const Options &     options_;
    const ModuleCache & cache_;
    const std::string   key_;
};

// Something that makes compiling unnecessary, or pointless.
static bool settled(const ModuleCache & cache, const std::string & key, const Options & options, Outcome & outcome) {
    if (options.force) return false;
    std::string why;
    if (cache.lookup(key, why)) {
        outcome.line = "the module for this model and GPU is there already";
        return true;
    }
    if (const auto past = cache.failure(key)) {
        throw Failure(EXIT_TOOLCHAIN, "it failed before: " + past->reason, "the log: " + past->log_path + "; --force tries again");
    }
    return false;
}

Outcome recompile(const Bundle & bundle, const KernelSet & set, const Options & options) {
    const Probe & probe = nvidia_devices();
    if (probe.devices.empty()) throw Failure(EXIT_GPU, "nothing to compile for: " + probe.why, "the CPU needs no compiling");
    const std::string sources = sources_digest(bundle);
    if (sources.empty()) throw Failure(EXIT_INPUT, "this executable carries no GPU sources", "build it without --no-sources");

    std::string why;
    const ModuleCache cache = ModuleCache::open(options.cache_dir, ModuleCache::Access::write, why);
    if (!cache.keeps()) throw Failure(EXIT_INPUT, "a module cannot be kept: " + why, "name another place with --cache-dir");
    const std::string key = start_key(sources, set, probe);

    Outcome outcome;
    if (settled(cache, key, options, outcome)) return outcome;
    bool told = false;
    const auto lock = cache.lock(key, [&](double) {
        if (!told) std::fputs("another process is compiling the same module; waiting for it\n", stderr);
        return told = true;
    }, why);
    if (settled(cache, key, options, outcome)) return outcome;
    return Recompilation(bundle, set, options, cache, key).make();
}

}  // namespace ingot::gpu
