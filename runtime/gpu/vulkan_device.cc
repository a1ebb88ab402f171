// What Vulkan's loader says of the devices. Its C interface is stable, so the few structures that
// are read here are declared in this file (Vulkan 1.0, "Physical Device Enumeration") and the
// runtime is compiled without Vulkan's headers.
#include <dlfcn.h>

#include <nlohmann/json.hpp>

#include "../os.h"
#include "device.h"

namespace ingot::gpu {

static constexpr int      SECONDS = 20;  // a GPU that has slept may take seconds to wake
static constexpr uint32_t NEEDED = (1u << 22) | (2u << 12);  // Vulkan 1.2, as the engine's backend asks
static constexpr int32_t  TYPE_CPU = 4;                      // VK_PHYSICAL_DEVICE_TYPE_CPU
static constexpr uint32_t HEAP_IN_DEVICE = 1;                // VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
static constexpr uint32_t MOST = 64;

struct ApplicationInfo {
    int32_t      type = 0;
    const void * next = nullptr;
    const char * name = "ingot";
    uint32_t     version = 0;
    const char * engine = nullptr;
    uint32_t     engine_version = 0;
    uint32_t     api = NEEDED;
};

struct InstanceInfo {
    int32_t                 type = 1;
    const void *            next = nullptr;
    uint32_t                flags = 0;
    const ApplicationInfo * application = nullptr;
    uint32_t                layer_count = 0;
    const char * const *    layers = nullptr;
    uint32_t                extension_count = 0;
    const char * const *    extensions = nullptr;
};

struct Properties {
    uint32_t api, driver, vendor, device;
    int32_t  type;
    char     name[256];
    alignas(8) uint8_t rest[2048];  // cache UUID, limits, sparse properties: 552 bytes
};

struct MemoryProperties {
    uint32_t type_count;
    struct { uint32_t flags, heap; } types[32];
    uint32_t heap_count;
    struct { uint64_t size; uint32_t flags; } heaps[16];
};

using Handle = void *;

template <typename Function> static Function symbol(void * library, const char * name) {
    return reinterpret_cast<Function>(dlsym(library, name));
}

static nlohmann::json describe(const Properties & facts, const MemoryProperties & memory, uint32_t index) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < memory.heap_count && i < 16; ++i) {
        if (memory.heaps[i].flags & HEAP_IN_DEVICE) bytes = std::max(bytes, memory.heaps[i].size);
    }
    const auto version = [](uint32_t number) {
        return std::to_string(number >> 22) + "." + std::to_string((number >> 12) & 0x3ff) + "." + std::to_string(number & 0xfff);
    };
    return {{"name", std::string(facts.name, strnlen(facts.name, sizeof facts.name))},
            {"memory", bytes},
            {"index", index},
            {"software", facts.type == TYPE_CPU},
            {"usable", facts.api >= NEEDED},
            {"driver", "Vulkan " + version(facts.api) + ", driver " + version(facts.driver)}};
}

// In the child.
static nlohmann::json ask_loader() {
    void * loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!loader) return {{"why", "no Vulkan loader (libvulkan.so.1) is installed"}};
    const auto create  = symbol<int32_t (*)(const InstanceInfo *, const void *, Handle *)>(loader, "vkCreateInstance");
    const auto devices = symbol<int32_t (*)(Handle, uint32_t *, Handle *)>(loader, "vkEnumeratePhysicalDevices");
    const auto facts   = symbol<void (*)(Handle, Properties *)>(loader, "vkGetPhysicalDeviceProperties");
    const auto memory  = symbol<void (*)(Handle, MemoryProperties *)>(loader, "vkGetPhysicalDeviceMemoryProperties");
    if (!create || !devices || !facts || !memory) return {{"why", "the Vulkan loader lacks functions"}};

    const ApplicationInfo application;
    InstanceInfo info;
    info.application = &application;
    Handle instance = nullptr;
    if (const int32_t error = create(&info, nullptr, &instance)) {
        return {{"why", error == -9 ? "no Vulkan driver is installed" : "Vulkan does not start (vkCreateInstance: error " + std::to_string(error) + ")"}};
    }
    Handle   found[MOST];
    uint32_t count = MOST;
    if (devices(instance, &count, found) < 0) count = 0;
    nlohmann::json answer = {{"devices", nlohmann::json::array()}};
    for (uint32_t i = 0; i < count; ++i) {
        Properties       about{};
        MemoryProperties heaps{};
        facts(found[i], &about);
        memory(found[i], &heaps);
        const auto device = describe(about, heaps, i);
        if (device["usable"]) answer["devices"].push_back(device);
        else answer["why"] = device["name"].get<std::string>() + ": " + device["driver"].get<std::string>() + ", and 1.2 is needed";
    }
    if (answer["devices"].empty() && !answer.contains("why")) answer["why"] = "Vulkan finds no device";
    return answer;
}

const Probe & vulkan_devices() {
    static const Probe probe = [] {
        Probe found;
        std::string why;
        const auto said = os::answer_of([] {
            return ask_loader().dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        }, SECONDS, why);
        const auto answer = nlohmann::json::parse(said.value_or(""), nullptr, false);
        found.why = answer.is_object() ? answer.value("why", "") : "the Vulkan driver crashed or hung when asked for its devices";
        if (!answer.is_object()) return found;
        for (const auto & item : answer.value("devices", nlohmann::json::array())) {
            Device device;
            device.name     = item.value("name", "");
            device.memory   = item.value("memory", (uint64_t) 0);
            device.driver   = item.value("driver", "");
            device.software = item.value("software", false);
            device.index    = item.value("index", 0);
            found.devices.push_back(device);
        }
        return found;
    }();
    return probe;
}

}  // namespace ingot::gpu
