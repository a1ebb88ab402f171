#include "amd_device.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

namespace ingot::gpu {

namespace fs = std::filesystem;
using Properties = std::map<std::string, uint64_t>;

static constexpr uint64_t LOCAL_PUBLIC = 1, LOCAL_PRIVATE = 2;  // kfd: heap types of a GPU's own memory

static Properties properties(const fs::path & path) {
    Properties found;
    std::ifstream stream(path);
    std::string   name;
    for (uint64_t value; stream >> name >> value;) found[name] = value;
    return found;
}

static uint64_t get(const Properties & properties, const char * name) {
    const auto found = properties.find(name);
    return found == properties.end() ? 0 : found->second;
}

static std::vector<fs::path> children(const fs::path & folder) {
    std::vector<fs::path> found;
    std::error_code ignored;
    for (const auto & entry : fs::directory_iterator(folder, ignored)) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
}

// Version 9.0.10 is gfx90a: the last two in hexadecimal.
static std::string gfx(unsigned major, unsigned minor, unsigned step) {
    char text[32];
    std::snprintf(text, sizeof text, "gfx%u%x%x", major, minor, step);
    return text;
}

// Without memory of its own (in a processor) a GPU has 0 bytes here.
static uint64_t own_memory(const fs::path & node) {
    uint64_t bytes = 0;
    for (const auto & bank : children(node / "mem_banks")) {
        const Properties facts = properties(bank / "properties");
        const uint64_t   heap  = get(facts, "heap_type");
        if (heap == LOCAL_PUBLIC || heap == LOCAL_PRIVATE) bytes += get(facts, "size_in_bytes");
    }
    return bytes;
}

Probe read_amd_devices(const std::string & topology, const std::string & node, const std::string & forced) {
    Probe probe;
    unsigned a = 0, b = 0, c = 0;
    const bool overridden = std::sscanf(forced.c_str(), "%u.%u.%u", &a, &b, &c) == 3;
    for (const auto & place : children(fs::path(topology) / "nodes")) {
        const Properties facts   = properties(place / "properties");
        const unsigned   version = (unsigned) get(facts, "gfx_target_version");  // 100300 for 10.3.0
        if (get(facts, "simd_count") == 0 || version == 0) continue;             // a processor
        Device device;
        device.architecture = overridden ? gfx(a, b, c) : gfx(version / 10000, version / 100 % 100, version % 100);
        device.name         = "AMD " + device.architecture;
        device.memory       = own_memory(place);
        probe.devices.push_back(device);
    }
    if (probe.devices.empty()) {
        probe.why = fs::exists(topology) ? "the AMD driver finds no GPU" : "no AMD driver (amdkfd) is loaded";
    } else if (access(node.c_str(), R_OK | W_OK) != 0) {
        probe.why = "this user may not open " + node + ", which an AMD GPU needs: add it to the group render";
        probe.devices.clear();
    }
    return probe;
}

const Probe & amd_devices() {
    static const Probe probe = [] {
        const char * folder   = std::getenv("INGOT_KFD");
        const char * forced = std::getenv("HSA_OVERRIDE_GFX_VERSION");
        const std::string base = folder ? folder : "";
        return read_amd_devices(folder ? base + "/topology" : "/sys/class/kfd/kfd/topology", folder ? base + "/kfd" : "/dev/kfd",
                                forced ? forced : "");
    }();
    return probe;
}

}  // namespace ingot::gpu
