#include "load.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "../error.h"
#include "../module_cache.h"
#include "../os.h"
#include "../process.h"
#include "choose.h"
#include "ggml-backend-impl.h"
#include "recompile.h"
#include "sealed_library.h"

namespace ingot::gpu {

using nlohmann::json;

static std::string value_of(const Args & user, std::initializer_list<const char *> spellings) {
    Args copy = user;
    const Args values = take_values(copy, spellings);
    return values.empty() ? "" : values.back();
}

std::optional<KernelSet> kernel_set_for(const Bundle * bundle, const Args & user) {
    if (bundle && !names_other_model(user)) {
        const json model = bundle->manifest.document.value("model", json::object());
        if (model.contains("kernels")) return kernel_set_from_json(model["kernels"]);
        return std::nullopt;
    }
    const std::string other = value_of(user, {"-m", "--model"});
    if (other.empty()) return std::nullopt;
    // In a process of its own: the engine must not run in this one before its backends are chosen,
    // and a model that it aborts on is refused later with a message.
    const auto document = json::parse(output_of({os::own_paths(nullptr).front(), "kernels", "--json", "-m", other}), nullptr, false);
    if (!document.is_object()) return std::nullopt;
    return kernel_set_from_json(document);
}

// A module on offer with the way to get at it.
struct Candidate {
    Offer                         offer;
    const Entry *                 entry = nullptr;  // bundled
    std::optional<os::SealedFile> sealed;           // compiled here
};

static std::vector<int> numbers(const json & list) {
    std::vector<int> found;
    for (const auto & item : list) found.push_back(item.is_string() ? std::atoi(item.get<std::string>().c_str()) : item.get<int>());
    return found;
}

static void offer_compiled(std::vector<Candidate> & found, const Bundle * bundle, const KernelSet & set, const Probe & probe,
                           const Options & options) {
    const std::string sources = bundle ? sources_digest(*bundle) : "";
    if (sources.empty()) return;
    std::string why;
    const ModuleCache cache = ModuleCache::open(options.cache_dir, ModuleCache::Access::read, why);
    const std::string key   = start_key("nvidia", sources, set, probe);
    auto sealed = cache.lookup(key, why);
    if (!why.empty()) std::fprintf(stderr, "note: %s\n", why.c_str());
    if (!sealed) return;
    const auto about = json::parse(cache.about(key, why).value_or(""), nullptr, false);
    if (!about.is_object()) return;
    Candidate candidate;
    candidate.offer  = {Offer::Source::compiled_here, numbers(about.value("cubins", json::array())), 0, about.value("cuda", 0)};
    candidate.sealed = std::move(sealed);
    found.push_back(std::move(candidate));
}

static void offer_bundled(std::vector<Candidate> & found, const Bundle * bundle) {
    for (const Entry * entry : bundle ? bundle->manifest.all("module") : std::vector<const Entry *>{}) {
        if (!entry->gpu.is_object() || entry->gpu.value("kind", "") != "cuda") continue;
        Candidate candidate;
        const auto cubins = numbers(entry->gpu.value("archs", json::array()));
        const int  ptx    = entry->gpu.value("ptx", false) && !cubins.empty() ? cubins.back() : 0;
        candidate.offer = {Offer::Source::bundled, cubins, ptx, std::atoi(entry->gpu.value("toolkit", "").c_str())};
        candidate.entry = entry;
        found.push_back(std::move(candidate));
    }
}

using init_function = ggml_backend_reg_t (*)(void);

static init_function open_module(const Candidate & candidate, const Bundle & bundle, std::string & why) {
    if (candidate.sealed) return reinterpret_cast<init_function>(load_sealed(*candidate.sealed, "ggml_backend_init", why));
    os::MemoryLibrary library;
    if (!library.create("ggml-cuda", bundle.read(*candidate.entry), why)) return nullptr;
    return reinterpret_cast<init_function>(library.load("ggml_backend_init", why));
}

static ggml_backend_reg_t load(const Candidate & candidate, const Bundle & bundle, std::string & why) {
    const init_function init = open_module(candidate, bundle, why);
    ggml_backend_reg_t reg = init ? init() : nullptr;
    if (reg && ggml_backend_reg_dev_count(reg) == 0) {
        why = "its runtime finds no GPU";
        return nullptr;
    }
    return reg;
}

std::optional<std::string> bundled_problem(const Bundle * bundle) {
    std::vector<Candidate> candidates;
    offer_bundled(candidates, bundle);
    if (candidates.empty()) return std::nullopt;
    std::string why;
    os::Trial trial([&] {
        std::string problem;
        const init_function init = open_module(candidates.front(), *bundle, problem);
        if (!init) std::fprintf(stderr, "%s\n", problem.c_str());
        return init && init() != nullptr;
    }, 60);
    return trial.passed(why) ? "" : why;
}

// The one line about a module that is missing, and what to do.
static void advise(const Bundle * bundle, const Report & report, const std::optional<KernelSet> & set) {
    if (report.probe.devices.empty() || !report.module.empty() || !bundle || sources_digest(*bundle).empty() || !set) return;
    uint64_t bytes = 0;
    std::string types;
    for (const auto & [type, share] : set->weights) {
        bytes += share.bytes;
        types += (types.empty() ? "" : ", ") + type;
    }
    std::fprintf(stderr,
                 "note: %s could run this model, but no module with kernels for %s is here, so %.1f GB of weights stay on the CPU; "
                 "'./%s --recompile --iq' makes one, once\n",
                 report.probe.devices.front().name.c_str(), types.c_str(), (double) bytes / 1e9, bundle->manifest.name.c_str());
}

Report load_module(const Bundle * bundle, const Args & user, const Options & options) {
    Report report;
    const bool cuda = options.kind == "auto" || options.kind == "nvidia";
    if (cuda) report.probe = nvidia_devices();
    else report.probe.why = options.kind == "none" ? "--gpu none" : "this program has no modules for --gpu " + options.kind;

    std::vector<Candidate> candidates;
    std::optional<KernelSet> set;
    if (!report.probe.devices.empty()) {
        set = kernel_set_for(bundle, user);
        if (set) offer_compiled(candidates, bundle, *set, report.probe, options);
        offer_bundled(candidates, bundle);
    }
    std::vector<Offer> offers;
    for (const auto & candidate : candidates) offers.push_back(candidate.offer);
    const Choice choice = choose(report.probe, offers);
    report.reasons = choice.reasons;
    if (choice.index >= 0) {
        std::string why;
        if (ggml_backend_reg_t reg = load(candidates[(size_t) choice.index], *bundle, why)) {
            ggml_backend_register(reg);
            report.module = candidates[(size_t) choice.index].sealed ? "compiled here" : "bundled";
        } else {
            report.reasons.push_back("it cannot be loaded: " + why);
            std::fprintf(stderr, "note: the GPU module is not used: %s\n", why.c_str());
        }
    }
    if (options.require && report.module.empty()) {
        throw Failure(EXIT_GPU, "no GPU is used: " + (report.reasons.empty() ? report.probe.why : report.reasons.back()),
                      "the command 'doctor' tells more; without --require-gpu the CPU computes");
    }
    if (cuda) advise(bundle, report, set);
    return report;
}

}  // namespace ingot::gpu
