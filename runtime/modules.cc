#include "modules.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "error.h"
#include "ggml-cpu.h"
#include "known_answers.h"
#include "sealed_file.h"

// Upstream's score function, once per level (native/cpu_modules.cmake).
#define INGOT_CPU_LEVEL(name, score) extern "C" int score(void);
#include "cpu_levels.inc"
#undef INGOT_CPU_LEVEL

namespace ingot {

nlohmann::json backends() {
    nlohmann::json list = nlohmann::json::array();
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        list.push_back({{"name", ggml_backend_dev_name(device)}, {"description", ggml_backend_dev_description(device)}});
    }
    return list;
}

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

// One module on its way: hashed, in sealed memory, being tested in a child process.
class Attempt {
  public:
    Attempt(const Bundle & bundle, const CpuCandidate & candidate, const std::set<std::string> & types)
        : level(candidate.level) {
        const auto bytes = bundle.read(*candidate.entry);  // throws when it is not what the manifest says
        library_ = os::SealedFile::of(bytes, why_);
        if (!library_) return;
        trial_.emplace([&] {
            std::string ignored;
            auto init = reinterpret_cast<init_function>(library_->load("ggml_backend_init", ignored));
            return init && answers_are_right(init(), types);
        }, TEST_SECONDS);
    }
    // The backend when the test was passed, else nullptr and the reason in `why`.
    ggml_backend_reg_t finish(std::string & why) {
        why = why_;
        if (!trial_ || !trial_->passed(why)) return nullptr;
        auto init = reinterpret_cast<init_function>(library_->load("ggml_backend_init", why));
        return init ? init() : nullptr;
    }
    const std::string level;

  private:
    std::optional<os::SealedFile> library_;
    std::optional<os::Trial>      trial_;
    std::string                   why_;
};

// What begin_cpu_choice leaves for choose_cpu.
struct Choice {
    std::vector<CpuCandidate> candidates;
    std::set<std::string>     types;
    std::unique_ptr<Attempt>  first;
};
static Choice choice;

void begin_cpu_choice(const std::set<std::string> & types) {
    choice.types = types;
    choice.candidates = cpu_candidates(own_bundle());
    if (const char * only = std::getenv("INGOT_CPU"); only && *only) {  // for tests and comparisons
        auto & all = choice.candidates;
        all.erase(std::remove_if(all.begin(), all.end(), [&](const auto & c) { return c.level != only; }), all.end());
        if (all.empty() && std::string(only) != "none") {
            std::fprintf(stderr, "note: INGOT_CPU=%s is no CPU module that runs here: using the baseline\n", only);
        }
    }
    std::string why;
    if (!choice.candidates.empty() && !os::SealedFile::loads(why)) {
        std::fprintf(stderr, "note: CPU modules cannot be loaded here (%s): running the slower baseline\n", why.c_str());
        choice.candidates.clear();
    }
    if (!choice.candidates.empty()) choice.first = std::make_unique<Attempt>(*own_bundle(), choice.candidates.front(), types);
}

static ggml_backend_reg_t choose_cpu() {
    for (const auto & candidate : choice.candidates) {
        auto attempt = choice.first ? std::move(choice.first)
                                    : std::make_unique<Attempt>(*own_bundle(), candidate, choice.types);
        std::string why;
        if (ggml_backend_reg_t reg = attempt->finish(why)) {
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

// GPU modules were loaded by main() (gpu/load.h) before the engine asks; the registry has all it needs.
void ingot_load_backends(void) { ggml_backend_reg_count(); }
