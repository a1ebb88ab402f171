#include "limits.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>

#include "cgroups.h"
#include "cpus.h"
#include "memory.h"

namespace ingot::limits {

// "" when it cannot be read.
static std::string text_of(const std::string & path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

static std::vector<Group> own_groups(const std::string & controller) {
    return groups(text_of("/proc/self/cgroup"), text_of("/proc/self/mountinfo"), controller);
}

static std::optional<double> cpu_quota() {
    std::optional<double> least;
    for (const Group & group : own_groups("cpu")) {
        const auto quota = group.v2 ? quota_v2(text_of(group.folder + "/cpu.max"))
                                    : quota_v1(text_of(group.folder + "/cpu.cfs_quota_us"), text_of(group.folder + "/cpu.cfs_period_us"));
        if (quota) least = std::min(*quota, least.value_or(*quota));
    }
    return least;
}

// CPU numbers that the scheduler gives this process; empty when it does not say.
static std::set<int> allowed_cpus() {
    std::set<int> allowed;
    for (size_t count = 1024; count <= (1 << 18); count *= 4) {
        cpu_set_t * set = CPU_ALLOC(count);
        const size_t size = CPU_ALLOC_SIZE(count);
        const bool told = set && sched_getaffinity(0, size, set) == 0;
        for (size_t cpu = 0; told && cpu < count; ++cpu) {
            if (CPU_ISSET_S(cpu, size, set)) allowed.insert((int) cpu);
        }
        CPU_FREE(set);
        if (told) break;  // else the kernel's mask is larger
    }
    return allowed;
}

static std::vector<std::string> siblings_of(const std::set<int> & cpus) {
    std::set<std::string> lists;
    for (int cpu : cpus) {
        const std::string text = text_of("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
        if (!text.empty()) lists.insert(text);
    }
    return {lists.begin(), lists.end()};
}

static std::string decimal(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4g", value);
    return text;
}

Cpus cpus() {
    const std::set<int> allowed = allowed_cpus();
    const long online = std::max(1L, sysconf(_SC_NPROCESSORS_ONLN));
    const size_t count = allowed.empty() ? (size_t) online : allowed.size();
    const auto quota = cpu_quota();
    Cpus found;
    found.threads = threads_for(allowed.empty() ? (unsigned) online : cores_of(allowed, siblings_of(allowed)), quota);
    found.logical = threads_for((unsigned) count, quota);
    found.limited = count < (size_t) online || (quota && *quota < (double) online);
    found.why     = std::to_string(count) + " of " + std::to_string(online) + " CPUs allowed" +
                (quota ? ", quota " + decimal(*quota) + " CPUs" : "");
    return found;
}

static uint64_t plus(uint64_t a, uint64_t b) { return a > UNLIMITED - b ? UNLIMITED : a + b; }

// What a group leaves: memory, and memory with swap.
static std::pair<uint64_t, uint64_t> room_of(const Group & group) {
    const auto read = [&](const char * name) { return bytes_in(text_of(group.folder + "/" + name)); };
    const std::string stat = text_of(group.folder + "/memory.stat");
    if (group.v2) {
        const uint64_t room = room_in(read("memory.max"), read("memory.current"), stat);
        const uint64_t swap = read("memory.swap.max"), swapped = read("memory.swap.current");
        return {room, plus(room, swap == UNLIMITED ? swap : swap - std::min(swap, swapped))};
    }
    const uint64_t room = room_in(read("memory.limit_in_bytes"), read("memory.usage_in_bytes"), stat);
    return {room, room_in(read("memory.memsw.limit_in_bytes"), read("memory.memsw.usage_in_bytes"), stat)};
}

Memory memory() {
    const std::string machine = text_of("/proc/meminfo");
    Memory found;
    found.room = value_of(machine, "MemAvailable:", 1024);
    if (found.room == 0) found.room = UNLIMITED;
    const uint64_t swap_free = value_of(machine, "SwapFree:", 1024);
    uint64_t with_swap = plus(found.room, swap_free);
    for (const Group & group : own_groups("memory")) {
        const auto [room, all] = room_of(group);
        found.group = found.group || room < found.room;
        found.room  = std::min(found.room, room);
        with_swap   = std::min({with_swap, all, plus(room, swap_free)});
    }
    found.swap = with_swap - std::min(with_swap, found.room);
    return found;
}

}  // namespace ingot::limits
