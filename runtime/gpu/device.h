// The GPUs of this machine, asked of their drivers in a child process, so that a broken driver's
// crash or hang stays there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ingot::gpu {

struct Device {
    std::string name;
    int         capability = 0;  // CUDA: compute capability times ten, 90 for 9.0
    uint64_t    memory = 0;      // bytes
    std::string driver;          // Vulkan: what the driver says of itself, for telling and comparing
    bool        software = false;  // Vulkan: the driver computes on the CPU
    int         index = 0;         // Vulkan: in the list of all devices, unusable ones too
    std::string architecture;    // "gfx1100"; "" for NVIDIA, where the capability says it
};

struct Probe {
    std::vector<Device> devices;
    int                 driver = 0;  // CUDA: version the driver speaks: 13000 for 13.0; 0 without one
    std::string         why;         // no devices: the reason
};

// Asked once; later calls return the same.
const Probe & nvidia_devices();
const Probe & vulkan_devices();

}  // namespace ingot::gpu
