// The GPU of this Mac. There is one wherever Metal is; the system is asked for its name.
#pragma once

#include "device.h"

namespace ingot::gpu {

// Its architecture is that of the processor ("arm64"), for which the module's host code is compiled;
// kernels are compiled by the system. Its memory is the machine's.
const Probe & apple_devices();

}  // namespace ingot::gpu
