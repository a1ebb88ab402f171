// CUDA: nvcc with a host compiler. cudart is linked statically, the driver and cuBLAS are looked up
// when first called (native/cuda).
#include <cstdio>
#include <cstdlib>

#include "backend.h"
#include "cuda_units.h"

namespace ingot::gpu {

static bool at_least(const std::string & version, int major, int minor) {
    int a = 0, b = 0;
    std::sscanf(version.c_str(), "%d.%d", &a, &b);
    return a > major || (a == major && b >= minor);
}

// Blackwell's FP4 instructions are in the architecture's own variant only, as upstream builds it.
static std::string variant(const std::string & capability) {
    const int number = std::atoi(capability.c_str());
    return capability + (number >= 120 && number < 130 ? "a" : "");
}

static Strings target_flags(const ModuleRequest & request) {
    Strings flags;
    for (const auto & capability : request.architectures) {
        const std::string name = variant(capability);
        flags.insert(flags.end(), {"-gencode", "arch=compute_" + name + ",code=sm_" + name});
    }
    if (request.ptx) {
        std::vector<int> capabilities;
        for (const auto & capability : request.architectures) capabilities.push_back(std::atoi(capability.c_str()));
        const std::string name = std::to_string(ptx_capability(capabilities));
        flags.insert(flags.end(), {"-gencode", "arch=compute_" + name + ",code=compute_" + name});
    }
    return flags;
}

static Strings flags(const ModuleRequest & request, const std::string &) {
    Strings flags = {"-std=c++17", "-O3", "-use_fast_math", "-extended-lambda", "-Xcompiler", "-fPIC,-fvisibility=hidden", "-w",
                     "-DNDEBUG", "-DGGML_CUDA_USE_GRAPHS", "-DGGML_SHARED", "-DGGML_BACKEND_SHARED"};
    if (at_least(request.toolkit.version, 12, 8)) flags.push_back("-compress-mode=size");
    for (const auto & flag : target_flags(request)) flags.push_back(flag);
    return flags;
}

static Strings link_flags(const ModuleRequest & request) {
    Strings flags = {"-shared", "-cudart", "static", "-Xcompiler", "-static-libstdc++,-static-libgcc", "-Xlinker",
                     "-Bsymbolic,--version-script=exports,-z,nodelete,-z,relro,-s"};
    for (const auto & flag : target_flags(request)) flags.push_back(flag);
    return flags;
}

static Strings driver(const Toolkit & toolkit) { return {toolkit.compiler, "-ccbin", toolkit.host_compiler}; }
static Strings host_driver(const Toolkit & toolkit) { return {toolkit.host_compiler}; }
static Strings libraries(const Toolkit &) { return {}; }

static UnitPlan plan(const ModuleRequest & request) {
    return plan_units(request.set, hardware_of(Dialect::cuda, request.architectures));
}

const Backend CUDA = {
    "nvidia", "CUDA", "nvcc", "ggml-cuda.so", ELF_EXPORTS,
    nvidia_devices, find_cuda, plan, driver, host_driver, flags,
    {"ingot/include", "ingot", "ggml/src/ggml-cuda", "ggml/src", "ggml/include"},
    link_flags, libraries, true,
};

}  // namespace ingot::gpu
