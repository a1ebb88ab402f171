#include "device.h"

#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <nlohmann/json.hpp>

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

// Reads until the child closes its end or time is up; what came so far.
static std::string read_all(int fd) {
    std::string text;
    char buffer[4096];
    for (int waited = 0; waited < SECONDS * 10;) {
        pollfd event{fd, POLLIN, 0};
        const int ready = poll(&event, 1, 100);
        if (ready == 0) ++waited;
        if (ready <= 0) continue;
        const ssize_t count = read(fd, buffer, sizeof buffer);
        if (count == 0) break;
        if (count > 0) text.append(buffer, (size_t) count);
        else if (errno != EINTR) break;
    }
    return text;
}

static std::string in_child() {
    int ends[2];
    if (pipe(ends) != 0) return "";
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        std::string text;
        try { text = ask_driver().dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); } catch (...) {}
        const ssize_t written = write(ends[1], text.data(), text.size());
        _exit(written == (ssize_t) text.size() ? 0 : 1);
    }
    close(ends[1]);
    const std::string text = child > 0 ? read_all(ends[0]) : "";
    close(ends[0]);
    if (child > 0) {
        kill(child, SIGKILL);  // it has answered, or it hangs
        int status;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    }
    return text;
}

const Probe & nvidia_devices() {
    static const Probe probe = [] {
        Probe found;
        const auto answer = nlohmann::json::parse(in_child(), nullptr, false);
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
