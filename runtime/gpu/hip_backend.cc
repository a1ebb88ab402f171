// ROCm: hipcc over the same files of upstream, through its vendors/hip.h. The HIP runtime and
// hipBLAS are the user's own ROCm, found again at start where they were when the module was made.
#include "amd_device.h"
#include "backend.h"
#include "cuda_units.h"

namespace ingot::gpu {

// As upstream's ggml-hip/CMakeLists.txt has them by default; -fno-gpu-rdc is hipcc's own default.
static Strings flags(const ModuleRequest & request, const std::string &) {
    Strings flags = {"-x", "hip", "-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-w", "-DNDEBUG", "-D__HIP_PLATFORM_AMD__=1",
                     "-DGGML_USE_HIP", "-DGGML_HIP_GRAPHS", "-DGGML_HIP_NO_VMM", "-DGGML_SHARED", "-DGGML_BACKEND_SHARED"};
    for (const auto & name : request.architectures) flags.push_back("--offload-arch=" + name);
    return flags;
}

static Strings link_flags(const ModuleRequest & request) {
    Strings flags = {"-shared", "-Wl,-Bsymbolic,--version-script=exports,-z,nodelete,-z,relro,-s"};
    for (const auto & name : request.architectures) flags.push_back("--offload-arch=" + name);
    return flags;
}

static Strings libraries(const Toolkit & toolkit) {
    Strings flags;
    for (const auto & folder : toolkit.library_folders) flags.insert(flags.end(), {"-L" + folder, "-Wl,-rpath," + folder});
    flags.push_back("-lhipblas");
    return flags;
}

static Strings driver(const Toolkit & toolkit) { return {toolkit.compiler}; }
static Strings host_driver(const Toolkit & toolkit) { return {toolkit.compiler, "-x", "c++"}; }

static UnitPlan plan(const ModuleRequest & request) {
    return plan_units(request.set, hardware_of(Dialect::hip, request.architectures));
}

const Backend HIP = {
    "amd", "ROCm", "hipcc", "ggml-hip.so", ELF_EXPORTS,
    amd_devices, find_rocm, plan, driver, host_driver, flags,
    {"ingot", "ggml/src/ggml-cuda", "ggml/src", "ggml/include"},
    link_flags, libraries, true,
};

}  // namespace ingot::gpu
