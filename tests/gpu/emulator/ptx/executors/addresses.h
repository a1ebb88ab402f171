// Operands of instructions that touch memory: the address is the first one.
#pragma once

#include "../machine/access.h"
#include "table.h"

namespace emulator {

inline Space space_of(const Statement & from) {
    if (from.has("shared") || from.has("shared::cta")) return Space::shared;
    if (from.has("local")) return Space::local;
    if (from.has("param") || from.has("param::entry")) return Space::parameter;
    return from.has("global") || from.has("const") ? Space::global : Space::generic;
}

inline void take_address(Decoder & decoder, const Statement & from, Instruction & into, const std::string & text) {
    const Address address = decoder.address(text);
    into.operands.push_back(address.operand);
    into.immediate      = address.offset;
    into.dynamic_shared = address.dynamic;
    into.space          = space_of(from);
    // The parameters of calls are kept in local memory.
    const bool is_local = address.operand.base == 0 && address.operand.offset == offset_of(Special::local_base);
    if (into.space == Space::parameter && is_local) into.space = Space::local;
}

inline uint64_t address_of(const Warp & warp, const Instruction & instruction, int lane) {
    const Operand & operand = instruction.operands[0];
    const uint64_t  address = read_bits(warp.source(operand), operand.wide, lane) + static_cast<uint64_t>(instruction.immediate);
    return instruction.space == Space::shared ? static_cast<uint32_t>(address) : address;
}

}  // namespace emulator
