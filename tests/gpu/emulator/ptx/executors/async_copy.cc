// cp.async. What is copied arrives when the lane waits for it and not before: until then the bytes are NaN,
// so that a kernel which forgets to wait gives wrong numbers.
#include <algorithm>

#include "addresses.h"

namespace emulator {

// Operands: where to, where from, and the bytes that are read, if fewer than `bytes`.
static void begin_copy(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const auto &   operands = instruction.operands;
    const uint32_t size     = instruction.bytes;
    for_lanes(lanes, [&](int lane) {
        AsyncCopy made;
        made.lane  = static_cast<uint32_t>(lane);
        made.group = warp.committed[lane];
        made.bytes = size;
        made.to    = static_cast<uint32_t>(read_bits(warp.source(operands[0]), operands[0].wide, lane) + static_cast<uint64_t>(instruction.immediate));
        made.from  = read_bits(warp.source(operands[1]), operands[1].wide, lane) + static_cast<uint64_t>(instruction.second);
        made.valid = operands.size() > 2 ? std::min(size, read<uint32_t>(warp.source(operands[2]), lane)) : size;
        check_alignment(warp, instruction, lane, made.to, size, size);
        check_alignment(warp, instruction, lane, made.from, size, size);
        if (made.valid) global_bytes(warp, instruction, lane, made.from, made.valid, Access::read);
        std::memset(shared_bytes(warp, instruction, lane, made.to, size, Access::write), 0xff, size);
        warp.copies.push_back(made);
    });
}

static void finish_copy(Warp & warp, const Instruction & instruction, const AsyncCopy & copy) {
    uint8_t * to = shared_bytes(warp, instruction, static_cast<int>(copy.lane), copy.to, copy.bytes, Access::write);
    std::memset(to, 0, copy.bytes);
    std::memcpy(to, reinterpret_cast<const void *>(copy.from), copy.valid);
}

static void commit_group(Warp & warp, const Instruction &, uint32_t lanes) {
    for_lanes(lanes, [&](int lane) { ++warp.committed[lane]; });
}

// `immediate`: groups that may still be on their way; -1 waits for all, committed or not.
static void wait_groups(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const auto arrives = [&](const AsyncCopy & copy) {
        if (!(lanes >> copy.lane & 1)) return false;
        return instruction.immediate < 0 || copy.group + instruction.immediate < warp.committed[copy.lane];
    };
    for (const auto & copy : warp.copies) {
        if (arrives(copy)) finish_copy(warp, instruction, copy);
    }
    warp.copies.erase(std::remove_if(warp.copies.begin(), warp.copies.end(), arrives), warp.copies.end());
}

static bool build_async_copy(Decoder & decoder, const Statement & from, Instruction & into) {
    if (!from.has("async") || from.has("bulk") || from.has("mbarrier")) return false;
    if (from.has("commit_group")) {
        into.execute = commit_group;
        return true;
    }
    if (from.has("wait_group") || from.has("wait_all")) {
        into.immediate = from.has("wait_all") ? -1 : static_cast<int64_t>(number(from.operands[0], 64));
        into.execute   = wait_groups;
        return true;
    }
    if (from.operands.size() < 3 || !is_number(from.operands[2])) return false;
    const Address to = decoder.address(from.operands[0]), source = decoder.address(from.operands[1]);
    into.operands       = {to.operand, source.operand};
    into.immediate      = to.offset;
    into.dynamic_shared = to.dynamic;
    into.second         = source.offset;
    into.bytes          = static_cast<uint8_t>(number(from.operands[2], 32));
    into.space          = Space::global;
    if (from.operands.size() > 3) into.operands.push_back(decoder.source(from.operands[3], false));
    into.execute = begin_copy;
    return into.bytes == 4 || into.bytes == 8 || into.bytes == 16;
}

void add_async_copy(Builders & builders) { builders["cp"] = build_async_copy; }

}  // namespace emulator
