#include "access.h"

namespace emulator {

static bool within(uint64_t address, uint64_t bytes, const void * begin, uint64_t size) {
    const auto first = reinterpret_cast<uint64_t>(begin);
    return address >= first && address + bytes <= first + size;
}

uint8_t * find_bytes(Warp & warp, const Instruction & instruction, int lane, uint64_t address, uint32_t bytes, Access kind) {
    Block &      block = *warp.block;
    const auto   data  = reinterpret_cast<uint8_t *>(address);
    const Space  space = instruction.space;
    // Shared and local memory are never kept as the instruction's range: one is searched for races, the other
    // is the lane's own.
    if (space == Space::generic && within(address, bytes, block.shared, block.shared_bytes)) {
        return shared_bytes(warp, instruction, lane, static_cast<uint32_t>(data - block.shared), bytes, kind);
    }
    if (space == Space::generic || space == Space::local) {
        const uint32_t  size = block.program->local_bytes;
        const uint8_t * own  = block.local_base + uint64_t{size} * (warp.number * 32 + static_cast<uint32_t>(lane));
        if (within(address, bytes, own, size)) return data;
    }
    const bool parameters = space == Space::generic || space == Space::parameter || space == Space::global;
    if (parameters && kind == Access::read && within(address, bytes, block.parameters, block.kernel->parameter_bytes)) {
        return data;
    }
    if (space == Space::generic || space == Space::global) {
        const auto range = memory().find(address, block.launch->device);
        if (range && range->has(address, bytes)) {
            block.ranges[instruction.index] = *range;
            return data;
        }
    }
    const char * what = space == Space::local ? "local memory out of bounds" : "out of bounds";
    fail_access(warp, instruction, lane, address, bytes, what);
}

}  // namespace emulator
