#include "trial.h"

#include <cctype>
#include <vector>

#include <nlohmann/json.hpp>

#include "../known_answers.h"
#include "../module_cache.h"
#include "../modules.h"
#include "../os.h"
#include "../sha256.h"
#include "ggml-backend-impl.h"
#include "offers.h"

namespace ingot::gpu {

using nlohmann::json;

static constexpr int SECONDS = 300;  // the driver may compile PTX or shaders first

using init_function = ggml_backend_reg_t (*)(void);

static std::set<std::string> tested_types(const KernelSet & set) {
    std::set<std::string> types = {"F32", "F16"};
    for (const auto & [type, share] : set.weights) {
        std::string name = type;
        for (char & c : name) c = (char) std::toupper((unsigned char) c);
        types.insert(name);
    }
    return types;
}

// The type that most bytes of the weights have.
static ggml_type main_type(const KernelSet & set) {
    uint64_t    most = 0;
    std::string name;
    for (const auto & [type, share] : set.weights) {
        if (share.bytes > most) most = share.bytes, name = type;
    }
    const ggml_type type = type_named(name);
    return type == GGML_TYPE_COUNT ? GGML_TYPE_F16 : type;
}

static Speed speed_in(const json & said) { return {said.value("prompt", 0.0), said.value("generation", 0.0)}; }

static json measured(ggml_backend_reg_t reg, const KernelSet & set) {
    const Speed speed = measure(reg, main_type(set));
    return {{"prompt", speed.prompt}, {"generation", speed.generation}};
}

// In the child.
static json judge(const os::SealedFile & module, const KernelSet & set, bool timed) {
    std::string why;
    const auto init = reinterpret_cast<init_function>(module.load("ggml_backend_init", why));
    if (!init) return {{"problem", why}};
    ggml_backend_reg_t reg = init();
    if (!reg || ggml_backend_reg_dev_count(reg) == 0) return {{"problem", why_no_device(module)}};
    if (!answers_are_right(reg, tested_types(set))) return {{"problem", "it computed wrong results"}};
    json verdict = timed ? measured(reg, set) : json::object();
    verdict["problem"] = "";
    return verdict;
}

Verdict try_module(const os::SealedFile & module, const KernelSet & set, bool timed) {
    std::string why;
    const auto text = os::answer_of([&] { return judge(module, set, timed).dump(); }, SECONDS, why);
    if (!text) return {why, {}};
    const json said = json::parse(*text, nullptr, false);
    if (!said.is_object()) return {"its test ended without a result", {}};
    return {said.value("problem", ""), speed_in(said)};
}

Speed try_cpu(const KernelSet & set) {
    std::string why;
    const auto text = os::answer_of([&] {
        begin_cpu_choice(tested_types(set));
        return measured(ingot_cpu_reg(), set).dump();
    }, SECONDS, why);
    const json said = json::parse(text.value_or(""), nullptr, false);
    return said.is_object() ? speed_in(said) : Speed{};
}

static std::string key_of(const os::SealedFile & module, const Probe & probe, const KernelSet & set) {
    json facts = {{"what", "trial"}, {"module", module.sha256()}, {"driver", probe.driver}, {"types", tested_types(set)},
                  {"abi", GGML_BACKEND_API_VERSION}};
    for (const Device & device : probe.devices) facts["devices"].push_back({device.name, device.driver, device.capability});
    const std::string text = facts.dump(-1, ' ', false, json::error_handler_t::replace);
    return sha256_hex(text.data(), text.size());
}

std::string problem_of(const os::SealedFile & module, Kind kind, const Machine & machine, const KernelSet & set,
                       const Options & options) {
    std::string why;
    const std::string key = key_of(module, machine.probe(kind), set);
    const ModuleCache cache = ModuleCache::open(options.cache_dir, ModuleCache::Access::write, why);
    if (cache.object(key, why)) return "";
    if (const auto past = cache.failure(key)) return past->reason + " (found before; without " + past->log_path + " it is tried again)";

    const Verdict verdict = try_module(module, set, /*timed*/ false);
    if (!verdict.problem.empty()) {
        cache.remember_failure(key, verdict.problem, "", why);
        return verdict.problem;
    }
    static const std::string passed = "passed";
    if (const auto mark = os::SealedFile::of({passed.begin(), passed.end()}, why)) cache.store_object(key, *mark, why);
    return "";
}

}  // namespace ingot::gpu
