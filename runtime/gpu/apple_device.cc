#include "apple_device.h"

#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

namespace ingot::gpu {

static Probe probe_mac() {
    Probe probe;
#ifdef __APPLE__
    Device device;
    char   name[256] = "";
    size_t size      = sizeof name - 1;
    sysctlbyname("machdep.cpu.brand_string", name, &size, nullptr, 0);
    size = sizeof device.memory;
    sysctlbyname("hw.memsize", &device.memory, &size, nullptr, 0);
    device.name = name;
#ifdef __aarch64__
    device.architecture = "arm64";
#else
    device.architecture = "x86_64";
#endif
    probe.devices.push_back(device);
#else
    probe.why = "Metal is on macOS only";
#endif
    return probe;
}

const Probe & apple_devices() {
    static const Probe probe = probe_mac();
    return probe;
}

}  // namespace ingot::gpu
