#include "modules.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "error.h"
#include "ggml-cpu.h"
#include "known_answers.h"

// Upstream's score function, once per level (native/cpu_modules.cmake).
#define INGOT_CPU_LEVEL(name, score) extern "C" int score(void);
#include "cpu_levels.inc"
#undef INGOT_CPU_LEVEL

namespace ingot {

static constexpr int TEST_SECONDS = 20;

static std::string chosen_level = "baseline";
const std::string & cpu_level() { return chosen_level; }

static bool announced = false;
void announce_cpu_choice(bool on) { announced = on; }

struct Level {
    const char * name;
    int (*score)();
};

static const Level LEVELS[] = {
#define INGOT_CPU_LEVEL(name, score) {#name, score},
#include "cpu_levels.inc"
#undef INGOT_CPU_LEVEL
};

std::vector<CpuCandidate> cpu_candidates(const Bundle * bundle) {
    std::vector<CpuCandidate> found;
    if (!bundle) return found;
    for (const auto & level : LEVELS) {
        const std::string name = std::string("/ggml-cpu-") + level.name + ".so";
        const int score = level.score();
        for (const Entry * entry : bundle->manifest.all("module")) {
            const bool named = entry->name.size() > name.size() &&
                               entry->name.compare(entry->name.size() - name.size(), name.size(), name) == 0;
            if (named && score > 0) found.push_back({level.name, score, entry});
        }
    }
    std::sort(found.begin(), found.end(), [](const auto & a, const auto & b) { return a.score > b.score; });
    return found;
}

using init_function = ggml_backend_reg_t (*)(void);

// Loads one module: hashed, in sealed memory, tested in a child process, and only then here.
static ggml_backend_reg_t load_module(const Bundle & bundle, const CpuCandidate & candidate, std::string & why) {
    const auto bytes = bundle.read(*candidate.entry);  // throws when it is not what the manifest says
    os::MemoryLibrary library;
    if (!library.create("ggml-cpu-" + candidate.level, bytes, why)) return nullptr;

    std::string in_child;
    const auto test = [&] {
        auto init = reinterpret_cast<init_function>(library.load("ggml_backend_init", in_child));
        return init && answers_are_right(init());
    };
    if (!os::survives(test, TEST_SECONDS, why)) return nullptr;

    auto init = reinterpret_cast<init_function>(library.load("ggml_backend_init", why));
    return init ? init() : nullptr;
}

static ggml_backend_reg_t choose_cpu() {
    const Bundle * bundle = own_bundle();
    const char *   only   = std::getenv("INGOT_CPU");  // one level by name, for tests and comparisons
    const auto candidates = cpu_candidates(bundle);
    std::string why;
    if (!candidates.empty() && !os::MemoryLibrary::possible(why)) {
        std::fprintf(stderr, "note: CPU modules cannot be loaded here (%s): running the slower baseline\n", why.c_str());
        return ggml_backend_cpu_reg();
    }
    for (const auto & candidate : candidates) {
        if (only && *only && candidate.level != only) continue;
        if (ggml_backend_reg_t reg = load_module(*bundle, candidate, why)) {
            chosen_level = candidate.level;
            return reg;
        }
        std::fprintf(stderr, "note: CPU module %s is not used: %s\n", candidate.level.c_str(), why.c_str());
    }
    return ggml_backend_cpu_reg();
}

}  // namespace ingot

ggml_backend_reg_t ingot_cpu_reg(void) {
    static ggml_backend_reg_t reg = [] {
        ggml_backend_reg_t chosen = ingot::choose_cpu();
        if (ingot::announced) std::fprintf(stderr, "CPU module: %s\n", ingot::cpu_level().c_str());
        return chosen;
    }();
    return reg;
}

// GPU modules will be loaded here; on the CPU the registry has all it needs.
void ingot_load_backends(void) { ggml_backend_reg_count(); }
