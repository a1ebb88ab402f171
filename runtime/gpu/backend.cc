#include "backend.h"

#include <algorithm>

namespace ingot::gpu {

const std::vector<const Backend *> & backends() {
    static const std::vector<const Backend *> all = {&CUDA, &HIP, &METAL};
    return all;
}

const Backend * backend_of(const std::string & kind) {
    for (const Backend * backend : backends()) {
        if (kind == backend->kind) return backend;
    }
    return nullptr;
}

Strings sorted_architectures(Strings names) {
    const auto before = [](const std::string & a, const std::string & b) { return a.size() != b.size() ? a.size() < b.size() : a < b; };
    std::sort(names.begin(), names.end(), before);
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

int ptx_capability(const std::vector<int> & capabilities) {
    int found = capabilities.front();
    for (int capability : capabilities) {
        if (capability < 100) found = capability;
    }
    return found;
}

std::string architecture(const Device & device) {
    return device.architecture.empty() ? std::to_string(device.capability) : device.architecture;
}

}  // namespace ingot::gpu
