// The memory that kernels may touch: ranges of host addresses, each with the device that owns it.
//
// A device pointer is the host address of the same bytes. Whoever allocates adds a range; an access outside
// of every range ends the process (failure.h). Threads may call all of it at the same time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <shared_mutex>

namespace emulator {

// Owner of memory that every device may touch: pinned host memory, managed memory.
constexpr int every_device = -1;

struct Range {
    uint64_t begin = 0, end = 0;  // host addresses, end excluded
    int      owner = every_device;

    bool has(uint64_t address, uint64_t bytes) const { return address >= begin && address + bytes <= end; }
};

class Memory {
public:
    // Fails where a range is there already.
    void add(uint64_t address, uint64_t bytes, int owner = every_device);
    // The range that starts there; false without one.
    bool remove(uint64_t address);
    // All ranges that start within these bytes: unmapping a part of a virtual range.
    void remove(uint64_t address, uint64_t bytes);

    // The range around an address that this device may touch, with neighbours of the same owner that
    // touch it: separate mappings side by side are one array to a program.
    std::optional<Range> find(uint64_t address, int device = every_device) const;
    // `every_device` as the device asks about the memory of all of them.
    bool is_valid(uint64_t address, uint64_t bytes, int device = every_device) const;

private:
    mutable std::shared_mutex mutex_;
    std::map<uint64_t, Range> ranges_;  // begin -> range
};

// That of this process.
Memory & memory();

// Fills new memory with bytes that are NaN in every floating-point type, unless INGOT_EMULATOR_POISON=0 (then
// with zeros): a kernel that relies on what it did not write gives wrong numbers.
void poison(void * data, uint64_t bytes);

}  // namespace emulator
