#include "offers.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "../module_cache.h"
#include "../os.h"
#include "backend.h"
#include "ggml-backend.h"
#include "recompile.h"

namespace ingot::gpu {

using nlohmann::json;

static constexpr int SECONDS = 60;

static std::vector<int> numbers(const json & list) {
    std::vector<int> found;
    for (const auto & item : list) found.push_back(item.is_string() ? std::atoi(item.get<std::string>().c_str()) : item.get<int>());
    return found;
}

static Kind kind_of(const Backend & backend) {
    return &backend == &CUDA ? Kind::cuda : &backend == &HIP ? Kind::hip : Kind::metal;
}

static void offer_compiled(std::vector<Candidate> & found, const Bundle * bundle, const KernelSet & set, const Backend & backend,
                           const Probe & probe, const Options & options) {
    const std::string sources = bundle ? sources_digest(*bundle) : "";
    if (sources.empty() || probe.devices.empty()) return;
    std::string why;
    const ModuleCache cache = ModuleCache::open(options.cache_dir, ModuleCache::Access::read, why);
    const std::string key   = start_key(backend.kind, sources, set, probe);
    auto sealed = cache.lookup(key, why);
    if (!why.empty()) std::fprintf(stderr, "note: %s\n", why.c_str());
    if (!sealed) return;
    const auto about = json::parse(cache.about(key, why).value_or(""), nullptr, false);
    if (!about.is_object()) return;
    Candidate candidate;
    candidate.offer.kind   = kind_of(backend);
    candidate.offer.source = Offer::Source::compiled_here;
    candidate.offer.cubins = numbers(about.value("cubins", json::array()));
    candidate.offer.cuda   = about.value("cuda", 0);
    candidate.sealed       = std::move(sealed);
    found.push_back(std::move(candidate));
}

static std::optional<Offer> bundled_offer(const Entry & entry) {
    if (!entry.gpu.is_object()) return std::nullopt;
    const std::string kind = entry.gpu.value("kind", "");
    Offer offer;
    offer.source = Offer::Source::bundled;
    offer.kind   = kind == "vulkan" ? Kind::vulkan : Kind::cuda;
    if (kind != "vulkan" && kind != "cuda") return std::nullopt;
    if (kind == "vulkan") return offer;
    offer.cubins = numbers(entry.gpu.value("archs", json::array()));
    offer.ptx    = entry.gpu.value("ptx", false) && !offer.cubins.empty() ? ptx_capability(offer.cubins) : 0;
    offer.cuda   = std::atoi(entry.gpu.value("toolkit", "").c_str());
    return offer;
}

static std::vector<Candidate> bundled(const Bundle * bundle) {
    std::vector<Candidate> found;
    for (const Entry * entry : bundle ? bundle->manifest.all("module") : std::vector<const Entry *>{}) {
        if (const auto offer = bundled_offer(*entry)) found.push_back({*offer, entry, std::nullopt});
    }
    return found;
}

bool carries(const Bundle * bundle, Kind kind) {
    const auto found = bundled(bundle);
    return std::any_of(found.begin(), found.end(), [&](const Candidate & candidate) { return candidate.offer.kind == kind; });
}

std::vector<Candidate> candidates_for(const Bundle * bundle, const std::optional<KernelSet> & set, const Machine & machine,
                                      const std::vector<Kind> & kinds, const Options & options) {
    std::vector<Candidate> found;
    const auto wanted = [&](Kind kind) { return std::find(kinds.begin(), kinds.end(), kind) != kinds.end(); };
    for (const Backend * backend : backends()) {
        const Kind kind = kind_of(*backend);
        if (set && wanted(kind)) offer_compiled(found, bundle, *set, *backend, machine.probe(kind), options);
    }
    for (auto & candidate : bundled(bundle)) {
        if (wanted(candidate.offer.kind)) found.push_back(std::move(candidate));
    }
    return found;
}

const os::SealedFile * open_module(Candidate & candidate, const Bundle & bundle, std::string & why) {
    if (!candidate.sealed && os::SealedFile::loads(why)) candidate.sealed = os::SealedFile::of(bundle.read(*candidate.entry), why);
    return candidate.sealed ? &*candidate.sealed : nullptr;
}

std::string why_no_device(const os::SealedFile & module) {
    std::string ignored;
    const auto problem = reinterpret_cast<const char * (*)()>(module.load("ingot_module_problem", ignored));
    const char * said  = problem ? problem() : nullptr;
    return said && *said ? said : "its runtime finds no GPU";
}

std::vector<std::pair<std::string, std::string>> bundled_problems(const Bundle * bundle) {
    std::vector<std::pair<std::string, std::string>> found;
    for (auto & candidate : bundled(bundle)) {
        std::string why;
        const auto problem = os::answer_of([&]() -> std::string {
            std::string reason;
            const os::SealedFile * module = open_module(candidate, *bundle, reason);
            const auto init = reinterpret_cast<ggml_backend_reg_t (*)()>(module ? module->load("ggml_backend_init", reason) : nullptr);
            if (!init) return reason;
            return init() ? "" : why_no_device(*module);
        }, SECONDS, why);
        found.emplace_back(title(candidate.offer), problem.value_or(why));
    }
    return found;
}

}  // namespace ingot::gpu
