// What this process may use of the machine, as the operating system says now.
#pragma once

#include <cstdint>
#include <string>

namespace ingot::limits {

struct Cpus {
    unsigned    threads = 1;      // to compute with: physical cores that may be used, at most the quota
    unsigned    logical = 1;      // hardware threads that may be used, at most the quota: for work without barriers
    bool        limited = false;  // fewer than the machine has
    std::string why;              // "2 of 16 CPUs allowed, quota 1.5 CPUs"
};
Cpus cpus();

struct Memory {
    uint64_t room = 0;       // bytes that can be taken now without swapping
    uint64_t swap = 0;       // bytes beyond that which could be swapped out
    bool     group = false;  // the limit is one of a control group (a container), not of the machine
};
Memory memory();

}  // namespace ingot::limits
