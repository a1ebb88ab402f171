// Vulkan's loader, looked up when the first call is made: a module that was linked to it could not
// be loaded, and so not say why, where none is installed. The backend takes most addresses from
// vkGetInstanceProcAddr and calls three functions by name. One call is looked at on its way: no
// placeholder of a left-out shader may reach a driver, which need not check what it is given.
#include "loader.h"

#include <dlfcn.h>
#include <vulkan/vulkan_core.h>

#include <cstdio>
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

// The name of a left-out shader; null for a real one. A placeholder (tools/glslc.cc) has its name as
// an OpString and no entry point; the backend may have put capabilities before it.
const char * left_out(const uint32_t * words, size_t count) {
    enum { HEADER = 5, OP_STRING = 7, OP_ENTRY_POINT = 15 };
    const char * name = nullptr;
    for (size_t at = HEADER; at < count; at += words[at] >> 16) {
        const uint32_t op = words[at] & 0xffff;
        if (op == OP_ENTRY_POINT || words[at] >> 16 == 0) return nullptr;
        if (op == OP_STRING) name = reinterpret_cast<const char *>(words + at + 2);
    }
    return name;
}

PFN_vkCreateShaderModule create_shader = nullptr;

VKAPI_ATTR VkResult VKAPI_CALL create_known_shader(VkDevice device, const VkShaderModuleCreateInfo * info,
                                                   const VkAllocationCallbacks * allocator, VkShaderModule * shader) {
    if (const char * name = left_out(info->pCode, info->codeSize / sizeof(uint32_t))) {
        std::fprintf(stderr, "error: the shader %s is not in this executable's Vulkan module\n", name);
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    return create_shader(device, info, allocator, shader);
}

}  // namespace

namespace ingot {

const char * vulkan_problem() { return loader().problem.c_str(); }

}  // namespace ingot

extern "C" {

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance, const char * name) {
    if (loader().address) {
        const PFN_vkVoidFunction found = loader().address(instance, name);
        if (!found || std::strcmp(name, "vkCreateShaderModule") != 0) return found;
        create_shader = reinterpret_cast<PFN_vkCreateShaderModule>(found);
        return reinterpret_cast<PFN_vkVoidFunction>(create_known_shader);
    }
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
