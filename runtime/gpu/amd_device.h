// The AMD GPUs of this machine, read from what the kernel's driver (amdkfd) says of them in sysfs: a
// few text files. Not asked of libamdhip64: loading that takes a good part of a second and hundreds
// of megabytes, it may hang with its driver, and the layout of its hipDeviceProp_t has changed
// between versions. What ROCm would compute on is exactly what the driver lists.
#pragma once

#include <string>

#include "device.h"

namespace ingot::gpu {

// `topology`: /sys/class/kfd/kfd/topology; `node`: /dev/kfd, which must be readable and writable to
// use a GPU. `forced`: HSA_OVERRIDE_GFX_VERSION ("10.3.0"), which ROCm obeys, or "".
Probe read_amd_devices(const std::string & topology, const std::string & node, const std::string & forced);

// This machine's, read once. INGOT_KFD names a folder that stands for both places, with `topology`
// and `kfd` in it: for tests.
const Probe & amd_devices();

}  // namespace ingot::gpu
