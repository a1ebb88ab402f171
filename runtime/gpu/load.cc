#include "load.h"

#include <cstdio>
#include <cstdlib>
#include <map>

#include "../error.h"
#include "../printable.h"
#include "../os.h"
#include "../process.h"
#include "advice.h"
#include "amd_device.h"
#include "apple_device.h"
#include "ggml-backend-impl.h"
#include "offers.h"
#include "recompile.h"
#include "trial.h"

namespace ingot::gpu {

using nlohmann::json;

static std::string value_of(const Args & user, std::initializer_list<const char *> spellings) {
    Args copy = user;
    const Args values = take_values(copy, spellings);
    return values.empty() ? "" : values.back();
}

// The cache types that the command line or the environment asks for; those of the author's arguments
// are in the manifest's set.
static Args cache_types(const Args & user) {
    Args found;
    const std::string k = value_of(user, {"-ctk", "--cache-type-k", "--cache_type_k"});
    const std::string v = value_of(user, {"-ctv", "--cache-type-v", "--cache_type_v"});
    if (!k.empty()) found.insert(found.end(), {"-ctk", k});
    if (!v.empty()) found.insert(found.end(), {"-ctv", v});
    return found;
}

// In a process of its own: the engine must not run in this one before its backends are chosen,
// and a model that it aborts on is refused later with a message.
static std::optional<KernelSet> ask_engine(const Args & arguments) {
    Args command = {os::own_paths(nullptr).front(), "kernels", "--json"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const auto document = json::parse(output_of(command), nullptr, false);
    if (!document.is_object()) return std::nullopt;
    return kernel_set_from_json(document);
}

std::optional<KernelSet> kernel_set_for(const Bundle * bundle, const Args & user) {
    Args asked = cache_types(user);
    if (!bundle || names_other_model(user)) {
        const std::string other = value_of(user, {"-m", "--model"});
        if (other.empty()) return std::nullopt;
        asked.insert(asked.end(), {"-m", other});
        return ask_engine(asked);
    }
    if (!asked.empty() || std::getenv("LLAMA_ARG_CACHE_TYPE_K") || std::getenv("LLAMA_ARG_CACHE_TYPE_V")) return ask_engine(asked);
    const json model = bundle->manifest.document.value("model", json::object());
    if (!model.contains("kernels")) return std::nullopt;
    return kernel_set_from_json(model["kernels"]);
}

// --gpu's word -> the kinds of modules that it allows.
static std::vector<Kind> kinds_of(const std::string & word) {
    static const std::map<std::string, std::vector<Kind>> allowed = {
        {"auto", {Kind::cuda, Kind::hip, Kind::metal, Kind::vulkan}}, {"nvidia", {Kind::cuda}}, {"amd", {Kind::hip}},
        {"apple", {Kind::metal}}, {"vulkan", {Kind::vulkan}}, {"none", {}}};
    return allowed.at(word);
}

// Asks only the drivers that matter: a probe costs time at every start.
static Machine probe(const Bundle * bundle, const Options & options) {
    Machine machine;
    for (const Kind kind : kinds_of(options.kind)) {
        if (kind == Kind::cuda) machine.probes[kind] = nvidia_devices();
        else if (kind == Kind::hip) machine.probes[kind] = amd_devices();
        else if (kind == Kind::metal && (options.kind == "apple" || !apple_devices().devices.empty())) machine.probes[kind] = apple_devices();
        else if (carries(bundle, kind)) machine.probes[kind] = vulkan_devices();
        else if (options.kind == "vulkan") machine.probes[kind].why = "this executable carries no Vulkan module";
    }
    machine.software = options.kind == "vulkan";
    return machine;
}

// Upstream's backend leaves out devices that compute on the CPU unless they are named.
static void show_software_device(const Machine & machine) {
    const auto & devices = machine.probe(Kind::vulkan).devices;
    for (const Device & device : devices) {
        if (!device.software) return;
    }
    if (!devices.empty()) setenv("GGML_VK_VISIBLE_DEVICES", std::to_string(devices.front().index).c_str(), /*replace*/ 0);
}

static void keep_quiet(ggml_log_level, const char *, void *) {}

using init_function = ggml_backend_reg_t (*)(void);

static ggml_backend_reg_t load(Candidate & candidate, const Bundle & bundle, const Machine & machine, const KernelSet & set,
                               const Options & options, std::string & why) {
    const os::SealedFile * module = open_module(candidate, bundle, why);
    if (!module) return nullptr;
    // One that was compiled here was tested before it was kept.
    if (candidate.entry) why = problem_of(*module, candidate.offer.kind, machine, set, options);
    if (!why.empty()) return nullptr;
    const auto init = reinterpret_cast<init_function>(module->load("ggml_backend_init", why));
    ggml_backend_reg_t reg = init ? init() : nullptr;
    if (reg && ggml_backend_reg_dev_count(reg) > 0) return reg;
    if (why.empty()) why = why_no_device(*module);
    return nullptr;
}

// Tries them in order; what was loaded is in `report.module`.
static ggml_backend_reg_t load_first(std::vector<Candidate> & candidates, const std::vector<size_t> & order, const Bundle & bundle,
                                     const KernelSet & set, const Options & options, Report & report) {
    for (const size_t index : order) {
        Candidate & candidate = candidates[index];
        if (candidate.offer.kind == Kind::vulkan) show_software_device(report.machine);
        std::string why;
        if (ggml_backend_reg_t reg = load(candidate, bundle, report.machine, set, options, why)) {
            ggml_backend_register(reg);
            report.module = title(candidate.offer);
            return reg;
        }
        report.reasons.push_back(title(candidate.offer) + " is not used: " + why);
        std::fprintf(stderr, "note: %s\n", printable(report.reasons.back()).c_str());
    }
    return nullptr;
}

static Choice choose_from(const std::vector<Candidate> & candidates, const Machine & machine, const Options & options) {
    if (options.kind == "none") return {{}, {"--gpu none", "the CPU computes"}};
    std::vector<Offer> offers;
    for (const auto & candidate : candidates) offers.push_back(candidate.offer);
    return choose(machine, offers);
}

static std::string joined(const std::vector<std::string> & reasons) {
    std::string text;
    for (const auto & reason : reasons) text += (text.empty() ? "" : "; ") + reason;
    return text;
}

Report load_module(const Bundle * bundle, const Args & user, const Options & options) {
    Report report;
    report.machine = probe(bundle, options);
    const auto set = report.machine.has_devices() && bundle ? kernel_set_for(bundle, user) : std::nullopt;
    auto candidates = candidates_for(bundle, set, report.machine, kinds_of(options.kind), options);
    const Choice choice = choose_from(candidates, report.machine, options);
    report.reasons = choice.reasons;

    if (!wants_log(user)) ggml_log_set(keep_quiet, nullptr);
    ggml_backend_reg_t reg = bundle ? load_first(candidates, choice.order, *bundle, set.value_or(KernelSet{}), options, report) : nullptr;
    if (bundle && set) advise(*bundle, report, reg, *set);
    ggml_log_set(nullptr, nullptr);
    if (options.require && !reg) {
        throw Failure(EXIT_GPU, "no GPU is used: " + joined(report.reasons),
                      "the command 'doctor' tells more; without --require-gpu the CPU computes");
    }
    return report;
}

}  // namespace ingot::gpu
