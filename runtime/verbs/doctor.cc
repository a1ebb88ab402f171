// What this machine has, what the program makes of it, and where the model then runs.
#include <cstdio>
#include <optional>

#include "../error.h"
#include "../gpu/amd_device.h"
#include "../gpu/load.h"
#include "../gpu/offers.h"
#include "../gpu/toolkit.h"
#include "../modules.h"
#include "../os.h"
#include "../placement.h"
#include "../process.h"
#include "ggml-backend.h"
#include "verbs.h"

namespace ingot::verbs {

using nlohmann::json;

// Loading a large model from a slow disk takes minutes.
static constexpr int SECONDS = 1800;

static json nvidia_facts() {
    const gpu::Probe & probe = gpu::nvidia_devices();
    json list = json::array();
    for (const auto & device : probe.devices) {
        list.push_back({{"name", device.name}, {"compute_capability", device.capability / 10.0}, {"memory", device.memory}});
    }
    return {{"driver_cuda", probe.driver}, {"devices", list}, {"why", probe.why}};
}

static json amd_facts() {
    const gpu::Probe & probe = gpu::amd_devices();
    json list = json::array();
    for (const auto & device : probe.devices) {
        list.push_back({{"name", device.name}, {"architecture", device.architecture}, {"memory", device.memory}});
    }
    return {{"devices", list}, {"why", probe.why}};
}

static json vulkan_facts() {
    const gpu::Probe & probe = gpu::vulkan_devices();
    json list = json::array();
    for (const auto & device : probe.devices) {
        list.push_back({{"name", device.name}, {"driver", device.driver}, {"software", device.software}, {"memory", device.memory}});
    }
    return {{"devices", list}, {"why", probe.why}};
}

static std::string nvcc_path() {
    std::string found = find_program("nvcc");
    for (const auto & folder : gpu::toolkit_folders()) {
        if (found.empty()) found = find_program("nvcc", folder);
    }
    return found;
}

static json to_json(const Placement & placement) {
    json weights = json::object();
    for (const auto & [device, share] : placement.weights) weights[device] = {{"bytes", share.bytes}, {"tensors", share.names}};
    return {{"tokens", placement.tokens}, {"ops", placement.ops}, {"weights", weights}};
}

static json chosen(const Bundle * bundle, const Args & user) {
    gpu::Options options = gpu::options();
    options.require = false;
    const gpu::Report report = gpu::load_module(bundle, user, options);
    return {{"gpu_module", report.module}, {"reasons", report.reasons}, {"backends", backends()}, {"cpu_module", cpu_level()}};
}

// In a child process: what breaks there is a finding, and the rest can still be told.
static json examine(const Bundle * bundle, const Args & user, bool run) {
    json found = chosen(bundle, user);
    if (!run) return found;
    try {
        found["placement"] = to_json(placement_of(bundle, user));
    } catch (const std::exception & error) {
        found["problem"] = error.what();
    }
    return found;
}

static json examine_apart(const Bundle * bundle, const Args & user, bool run) {
    std::string why;
    const auto text = os::answer_of([&] {
        begin_cpu_choice({});
        return examine(bundle, user, run).dump(-1, ' ', false, json::error_handler_t::replace);
    }, SECONDS, why);
    const json found = json::parse(text.value_or(""), nullptr, false);
    if (found.is_object()) return found;
    return {{"problem", (run ? "the model cannot be run: " : "no module can be chosen: ") + why}};
}

static json diagnosis(const Bundle * bundle, Args user) {
    const bool quick = take_flag(user, {"--quick"});
    const bool run   = !quick && (bundle || names_other_model(user));
    json document = {{"nvidia", nvidia_facts()}, {"amd", amd_facts()}, {"vulkan", vulkan_facts()}, {"nvcc", nvcc_path()}};
    json bundled = json::object();
    for (const auto & [name, problem] : gpu::bundled_problems(bundle)) bundled[name] = problem.empty() ? "loads" : problem;
    document["bundled_modules"] = bundled;
    json rest = examine_apart(bundle, user, run);
    // What failed may be the run; the choice alone is told then.
    if (run && !rest.contains("reasons")) {
        const json problem = rest["problem"];
        rest = examine_apart(bundle, user, /*run*/ false);
        rest["problem"] = problem;
    }
    document.update(rest);
    return document;
}

static void row(const std::string & label, const std::string & value) { std::printf("%-15s %s\n", label.c_str(), value.c_str()); }

static std::string gigabytes(const json & bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f GB", bytes.get<double>() / 1e9);
    return text;
}

static void print_devices(const json & nvidia, const json & amd, const json & vulkan) {
    const int driver = nvidia["driver_cuda"];
    row("NVIDIA driver", driver ? "CUDA " + std::to_string(driver / 1000) + "." + std::to_string(driver % 1000 / 10) : nvidia["why"].get<std::string>());
    for (const auto & device : nvidia["devices"]) {
        char capability[16];
        std::snprintf(capability, sizeof capability, "%.1f", device["compute_capability"].get<double>());
        row("GPU", device["name"].get<std::string>() + ", compute capability " + capability + ", " + gigabytes(device["memory"]));
    }
    if (amd["devices"].empty()) row("AMD driver", amd["why"]);
    for (const auto & device : amd["devices"]) {
        row("GPU", device["name"].get<std::string>() + ", " + device["architecture"].get<std::string>() + ", " + gigabytes(device["memory"]));
    }
    if (vulkan["devices"].empty()) row("Vulkan", vulkan["why"]);
    for (const auto & device : vulkan["devices"]) {
        row("Vulkan", device["name"].get<std::string>() + (device["software"] ? ", which computes on the CPU, " : ", ") +
                          device["driver"].get<std::string>() + ", " + gigabytes(device["memory"]));
    }
}

static void print_placement(const json & placement) {
    for (const auto & [device, ops] : placement["ops"].items()) {
        std::string text;
        for (const auto & [op, times] : ops.items()) text += (text.empty() ? "" : ", ") + op + " " + std::to_string(times.get<uint64_t>());
        row("ran on " + device, text);
    }
    for (const auto & [device, share] : placement["weights"].items()) {
        const auto & names = share["tensors"];
        char text[64];
        std::snprintf(text, sizeof text, "%.1f MB in %zu tensors", share["bytes"].get<double>() / 1e6, names.size());
        row("weights " + device, text + (names.size() == 1 ? ": " + names[0].get<std::string>() : ""));
    }
}

static void print(const json & found) {
    if (found.contains("cpu_module")) row("CPU module", found["cpu_module"]);
    print_devices(found["nvidia"], found["amd"], found["vulkan"]);
    for (const auto & [name, state] : found["bundled_modules"].items()) row("", name + ": " + state.get<std::string>());
    const std::string module = found.value("gpu_module", "");
    row("GPU module", module.empty() ? "none" : module);
    for (const auto & reason : found.value("reasons", json::array())) row("", reason);
    for (const auto & device : found.value("backends", json::array())) {
        row("computes on", device["name"].get<std::string>() + " (" + device["description"].get<std::string>() + ")");
    }
    if (found.contains("placement")) print_placement(found["placement"]);
    if (found.contains("problem")) row("problem", found["problem"]);
    const std::string nvcc = found["nvcc"];
    row("CUDA compiler", nvcc.empty() ? "none: --recompile needs one" : nvcc);
}

int doctor(const Bundle * bundle, Args user) {
    const bool as_json = take_flag(user, {"--json"});
    const json found = diagnosis(bundle, std::move(user));
    if (as_json) std::puts(found.dump(2, ' ', false, json::error_handler_t::replace).c_str());
    else print(found);
    return found.contains("problem") ? EXIT_NO : EXIT_DONE;
}

}  // namespace ingot::verbs
