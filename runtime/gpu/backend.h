// What differs between the kinds of GPU modules: one table entry each, in a file of its own
// (cuda_backend.cc, hip_backend.cc, metal_backend.cc). The steps that they share are in
// gpu_module.cc (plan, compile, stubs, link) and recompile.cc (test, keep).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "../kernel_set.h"
#include "device.h"
#include "toolkit.h"
#include "units.h"

namespace ingot::gpu {

struct Backend;

struct ModuleRequest {
    const Backend *          backend = nullptr;
    KernelSet                set;
    std::vector<std::string> architectures;  // "90", "gfx1100", "arm64"; ascending, machine code for each
    bool                     ptx = false;    // CUDA: and PTX, for newer GPUs
    std::string              sources;        // folder with ggml/ and ingot/ (docs/reference/format.md)
    std::string              scratch;        // private folder to work in
    unsigned                 jobs = 1;
    Toolkit                  toolkit;
    // Objects by key: puts a kept one at a path and says whether it had it; keeps the one at a path.
    std::function<bool(const std::string & key, const std::string & path)> take_object;
    std::function<void(const std::string & key, const std::string & path)> keep_object;
};

using Strings = std::vector<std::string>;

struct Backend {
    const char * kind;      // of --gpu: "nvidia", "amd", "apple"
    const char * name;      // "CUDA", "ROCm", "Metal"
    const char * compiler;  // "nvcc", "hipcc", "cc"
    const char * module;    // file name of the module
    const char * exports;   // text of the file "exports" for the linker: what the module shows

    const Probe & (*devices)();
    // See toolkit.h. `folder` is scratch.
    Toolkit (*find_toolkit)(const AskedTools & asked, const Strings & architectures, const std::string & folder);
    UnitPlan (*plan)(const ModuleRequest & request);
    // The compiler with what it always needs; and one for plain C++.
    Strings (*driver)(const Toolkit & toolkit);
    Strings (*host_driver)(const Toolkit & toolkit);
    // Of a unit whose file has this ending; all that its object depends on, but for sources and versions.
    Strings (*flags)(const ModuleRequest & request, const std::string & ending);
    Strings include_folders;  // in the sources, in order
    Strings (*link_flags)(const ModuleRequest & request);
    Strings (*libraries)(const Toolkit & toolkit);  // after the objects
    bool stubs;  // what units call and none has is made up, so that the rest need not be compiled
};

inline constexpr const char * ELF_EXPORTS = "{ global: ggml_backend_init; ingot_module_kernels; local: *; };\n";

extern const Backend CUDA, HIP, METAL;

// By the kind of --gpu; nullptr when there is none: "vulkan", "none".
const Backend * backend_of(const std::string & kind);

// In the order in which --gpu auto prefers them.
const std::vector<const Backend *> & backends();

// Sorted by number where they are numbers, each once.
Strings sorted_architectures(Strings architectures);

// Whose PTX a CUDA module for `capabilities`, ascending, gets: the highest up to 9.0, because PTX
// runs on everything newer than itself, and that of 12.0 would leave out 10.x.
int ptx_capability(const std::vector<int> & capabilities);

// As a driver or the system names it: "90", "gfx1100", "arm64".
std::string architecture(const Device & device);

}  // namespace ingot::gpu
