// Vulkan's loader, looked up when the first call is made: a module that was linked to it could not
// be loaded, and so not say why, where none is installed. The backend takes most addresses from
// vkGetInstanceProcAddr and calls three functions by name.
#include "loader.h"

#include <dlfcn.h>
#include <vulkan/vulkan_core.h>

#include <cstring>
#include <string>

namespace {

const char * const LIBRARY = "libvulkan.so.1";

struct Loader {
    void * library = nullptr;
    PFN_vkGetInstanceProcAddr address = nullptr;
    std::string problem;
};

const Loader & loader() {
    static const Loader found = [] {
        Loader it;
        it.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (!it.library) {
            const char * said = dlerror();
            it.problem = said ? said : LIBRARY;
            return it;
        }
        it.address = reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(it.library, "vkGetInstanceProcAddr"));
        if (!it.address) it.problem = std::string(LIBRARY) + " has no vkGetInstanceProcAddr";
        return it;
    }();
    return found;
}

// The first thing that the backend calls. It takes the error as it takes a driver's.
VkResult no_version(uint32_t *) { return VK_ERROR_INITIALIZATION_FAILED; }

// Every loader exports the functions of Vulkan 1.1, and they are called with its own handles only.
template <typename Function> Function exported(const char * name) {
    return reinterpret_cast<Function>(dlsym(loader().library, name));
}

}  // namespace

namespace ingot {

const char * vulkan_problem() { return loader().problem.c_str(); }

}  // namespace ingot

extern "C" {

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance, const char * name) {
    if (loader().address) return loader().address(instance, name);
    return std::strcmp(name, "vkEnumerateInstanceVersion") == 0 ? reinterpret_cast<PFN_vkVoidFunction>(no_version) : nullptr;
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetDeviceProcAddr(VkDevice device, const char * name) {
    static const auto call = exported<PFN_vkGetDeviceProcAddr>("vkGetDeviceProcAddr");
    return call(device, name);
}

VKAPI_ATTR void VKAPI_CALL vkGetPhysicalDeviceFeatures2(VkPhysicalDevice device, VkPhysicalDeviceFeatures2 * features) {
    static const auto call = exported<PFN_vkGetPhysicalDeviceFeatures2>("vkGetPhysicalDeviceFeatures2");
    call(device, features);
}

VKAPI_ATTR void VKAPI_CALL vkCmdCopyBuffer(VkCommandBuffer commands, VkBuffer from, VkBuffer to, uint32_t count, const VkBufferCopy * regions) {
    static const auto call = exported<PFN_vkCmdCopyBuffer>("vkCmdCopyBuffer");
    call(commands, from, to, count, regions);
}

}  // extern "C"
