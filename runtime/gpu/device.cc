#include "device.h"

#include <dlfcn.h>

#include <nlohmann/json.hpp>

#include "../os.h"

namespace ingot::gpu {

static constexpr int SECONDS = 20;  // a GPU that has slept may take seconds to wake
static constexpr int CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76;  // cuda.h: CUdevice_attribute

template <typename Function> static Function symbol(void * library, const char * name) {
    return reinterpret_cast<Function>(dlsym(library, name));
}

// In the child: what the driver says, as JSON.
static nlohmann::json ask_driver() {
    void * driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!driver) return {{"why", "no NVIDIA driver (libcuda.so.1) is installed"}};
    const auto init    = symbol<int (*)(unsigned)>(driver, "cuInit");
    const auto version = symbol<int (*)(int *)>(driver, "cuDriverGetVersion");
    const auto count   = symbol<int (*)(int *)>(driver, "cuDeviceGetCount");
    const auto get     = symbol<int (*)(int *, int)>(driver, "cuDeviceGet");
    const auto name    = symbol<int (*)(char *, int, int)>(driver, "cuDeviceGetName");
    const auto total   = symbol<int (*)(size_t *, int)>(driver, "cuDeviceTotalMem_v2");
    const auto fact    = symbol<int (*)(int *, int, int)>(driver, "cuDeviceGetAttribute");
    if (!init || !version || !count || !get || !name || !total || !fact) return {{"why", "the NVIDIA driver lacks functions: is it very old?"}};
    nlohmann::json answer = {{"devices", nlohmann::json::array()}};
    int number = 0, speaks = 0;
    if (version(&speaks) == 0) answer["driver"] = speaks;
    if (const int error = init(0)) {
        answer["why"] = error == 100 ? "the NVIDIA driver finds no GPU" : "the NVIDIA driver does not start (cuInit: error " + std::to_string(error) + ")";
        return answer;
    }
    count(&number);
    for (int i = 0; i < number; ++i) {
        int device = 0, major = 0, minor = 0;
        char text[256] = "";
        size_t memory = 0;
        if (get(&device, i) || fact(&major, CAPABILITY_MAJOR, device) || fact(&minor, CAPABILITY_MINOR, device)) continue;
        name(text, sizeof text - 1, device);
        total(&memory, device);
        answer["devices"].push_back({{"name", text}, {"capability", major * 10 + minor}, {"memory", memory}});
    }
    if (answer["devices"].empty()) answer["why"] = "the NVIDIA driver finds no GPU";
    return answer;
}

const Probe & nvidia_devices() {
    static const Probe probe = [] {
        Probe found;
        std::string why;
        const auto said = os::answer_of([] {
            return ask_driver().dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
        }, SECONDS, why);
        const auto answer = nlohmann::json::parse(said.value_or(""), nullptr, false);
        if (!answer.is_object()) {
            found.why = "the NVIDIA driver crashed or hung when asked for its GPUs";
            return found;
        }
        found.driver = answer.value("driver", 0);
        found.why    = answer.value("why", "");
        for (const auto & device : answer.value("devices", nlohmann::json::array())) {
            found.devices.push_back({device.value("name", ""), device.value("capability", 0), device.value("memory", (uint64_t) 0)});
        }
        return found;
    }();
    return probe;
}

}  // namespace ingot::gpu
