// The way from an address in a register to bytes: bounds, alignment and races are checked here.
#pragma once

#include <cstdio>
#include <string>

#include "lanes.h"
#include "warp.h"

namespace emulator {

using Access = Shadow::Access;

[[noreturn]] inline void fail_access(const Warp & warp, const Instruction & instruction, int lane, uint64_t address,
                                     uint32_t bytes, const char * what) {
    char text[160];
    std::snprintf(text, sizeof text, "%s: %u bytes at 0x%llx", what, bytes, static_cast<unsigned long long>(address));
    fail(warp, instruction, lane, text);
}

inline void check_alignment(const Warp & warp, const Instruction & instruction, int lane, uint64_t address,
                            uint32_t bytes, uint32_t alignment) {
    if (address % alignment) fail_access(warp, instruction, lane, address, bytes, "misaligned");
}

// Bytes of shared memory at an offset.
inline uint8_t * shared_bytes(Warp & warp, const Instruction & instruction, int lane, uint32_t offset, uint32_t bytes,
                              Access kind) {
    Block & block = *warp.block;
    if (uint64_t{offset} + bytes > block.shared_bytes) {
        fail_access(warp, instruction, lane, offset, bytes, "shared memory out of bounds");
    }
    if (block.shadow) {
        const char * race = block.shadow->access(kind, offset, bytes, warp.number, static_cast<uint32_t>(lane));
        if (race) {
            const std::string other = " by " + block.shadow->other();
            fail_access(warp, instruction, lane, offset, bytes, (std::string("race in shared memory: it ") + race + other).c_str());
        }
    }
    return block.shared + offset;
}

// Looks an address up that is not in the range which the instruction last accessed.
uint8_t * find_bytes(Warp & warp, const Instruction & instruction, int lane, uint64_t address, uint32_t bytes, Access kind);

// Bytes at a host address: global memory; where a generic address may be, shared, local or parameters, too.
inline uint8_t * global_bytes(Warp & warp, const Instruction & instruction, int lane, uint64_t address, uint32_t bytes,
                              Access kind) {
    const Range & range = warp.block->ranges[instruction.index];
    if (__builtin_expect(range.has(address, bytes), 1)) return reinterpret_cast<uint8_t *>(address);
    return find_bytes(warp, instruction, lane, address, bytes, kind);
}

// By the instruction's space. `address` is the sum of register and offset.
inline uint8_t * checked_bytes(Warp & warp, const Instruction & instruction, int lane, uint64_t address, uint32_t bytes,
                               uint32_t alignment, Access kind) {
    check_alignment(warp, instruction, lane, address, bytes, alignment);
    if (instruction.space == Space::shared) {
        return shared_bytes(warp, instruction, lane, static_cast<uint32_t>(address), bytes, kind);
    }
    return global_bytes(warp, instruction, lane, address, bytes, kind);
}

}  // namespace emulator
