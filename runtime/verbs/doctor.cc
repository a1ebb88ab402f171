// What this machine has and what the program makes of it.
#include <cstdio>

#include "../gpu/load.h"
#include "../gpu/toolkit.h"
#include "../modules.h"
#include "../process.h"
#include "ggml-backend.h"
#include "verbs.h"

namespace ingot::verbs {

using nlohmann::json;

static json devices_of(const gpu::Probe & probe) {
    json list = json::array();
    for (const auto & device : probe.devices) {
        list.push_back({{"name", device.name}, {"compute_capability", device.capability / 10.0}, {"memory", device.memory}});
    }
    return list;
}

// Everything the engine may compute on, the CPU included.
static json backends() {
    json list = json::array();
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        list.push_back({{"name", ggml_backend_dev_name(device)}, {"description", ggml_backend_dev_description(device)}});
    }
    return list;
}

static std::string nvcc_path() {
    std::string found = find_program("nvcc");
    for (const auto & folder : gpu::toolkit_folders()) {
        if (found.empty()) found = find_program("nvcc", folder);
    }
    return found;
}

static json examine(const Bundle * bundle, const Args & user) {
    gpu::Options options = gpu::options();
    options.require = false;
    const auto problem = gpu::bundled_problem(bundle);
    const gpu::Report report = gpu::load_module(bundle, user, options);
    json document = {{"nvidia", {{"driver_cuda", report.probe.driver}, {"devices", devices_of(report.probe)}, {"why", report.probe.why}}},
                     {"gpu_module", report.module}, {"reasons", report.reasons}, {"backends", backends()}, {"nvcc", nvcc_path()}};
    if (problem) document["bundled_module"] = problem->empty() ? "loads" : *problem;
    document["cpu_module"] = cpu_level();
    return document;
}

int doctor(const Bundle * bundle, Args user) {
    const bool as_json = take_flag(user, {"--json"});
    begin_cpu_choice({});
    const json found = examine(bundle, user);
    if (as_json) {
        std::puts(found.dump(2).c_str());
        return 0;
    }
    const auto & nvidia = found["nvidia"];
    const int driver = nvidia["driver_cuda"];
    std::printf("CPU module      %s\n", found["cpu_module"].get<std::string>().c_str());
    std::printf("NVIDIA driver   %s\n", driver ? ("CUDA " + std::to_string(driver / 1000) + "." + std::to_string(driver % 1000 / 10)).c_str() : "none");
    for (const auto & device : nvidia["devices"]) {
        std::printf("GPU             %s, compute capability %.1f, %.1f GB\n", device["name"].get<std::string>().c_str(),
                    device["compute_capability"].get<double>(), device["memory"].get<double>() / 1e9);
    }
    const std::string module = found["gpu_module"];
    std::printf("GPU module      %s\n", module.empty() ? "none" : module.c_str());
    if (found.contains("bundled_module")) std::printf("                bundled: %s\n", found["bundled_module"].get<std::string>().c_str());
    for (const auto & reason : found["reasons"]) std::printf("                %s\n", reason.get<std::string>().c_str());
    for (const auto & device : found["backends"]) {
        std::printf("computes on     %s (%s)\n", device["name"].get<std::string>().c_str(), device["description"].get<std::string>().c_str());
    }
    const std::string nvcc = found["nvcc"];
    std::printf("CUDA compiler   %s\n", nvcc.empty() ? "none: --recompile needs one" : nvcc.c_str());
    return 0;
}

}  // namespace ingot::verbs
