// mov, also into and out of vectors; cvta and isspacep.
#include "../machine/access.h"
#include "elementwise.h"

namespace emulator {

template <class T> void copy(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * from = warp.source(instruction.operands[1]);
    store_lanes<T>(warp.destination(instruction.operands[0]), lanes, [&](int lane) { return read<T>(from, lane); });
}

static void copy_predicate(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const Operand & from  = instruction.operands[1];
    const auto      bits  = read<uint32_t>(warp.source(from), 0);
    uint8_t *       to    = warp.destination(instruction.operands[0]);
    const uint32_t  value = from.negated ? ~bits : bits;
    write<uint32_t>(to, 0, (read<uint32_t>(to, 0) & ~lanes) | (value & lanes));
}

// Between registers of different widths, or a symbol's address: a base and an offset.
static void copy_address(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const Operand & to = instruction.operands[0], & from = instruction.operands[1];
    for_lanes(lanes, [&](int lane) {
        const uint64_t value = read_bits(warp.source(from), from.wide, lane) + static_cast<uint64_t>(instruction.immediate);
        write_bits(warp.destination(to), to.wide, lane, value);
    });
}

static uint64_t field(uint64_t value, uint32_t bits) { return bits >= 64 ? value : value & ((uint64_t{1} << bits) - 1); }

// {a, b} -> one register, the first one in the low bits; `mode` is the width of each.
static void pack(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const auto & operands = instruction.operands;
    for_lanes(lanes, [&](int lane) {
        uint64_t value = 0;
        for (size_t i = 1; i < operands.size(); ++i) {
            const uint64_t part = read_bits(warp.source(operands[i]), operands[i].wide, lane);
            value |= field(part, instruction.mode) << (i - 1) * instruction.mode;
        }
        write_bits(warp.destination(operands[0]), operands[0].wide, lane, value);
    });
}

// The source is the last operand: a destination may be the same register.
static void unpack(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const auto &    operands = instruction.operands;
    const Operand & from     = operands.back();
    for_lanes(lanes, [&](int lane) {
        const uint64_t value = read_bits(warp.source(from), from.wide, lane);
        for (size_t i = 0; i + 1 < operands.size(); ++i) {
            write_bits(warp.destination(operands[i]), operands[i].wide, lane, field(value >> i * instruction.mode, instruction.mode));
        }
    });
}

static bool build_vector(Decoder & decoder, const Statement & from, Instruction & into, uint32_t bits) {
    const bool unpacks = from.operands[0][0] == '{';
    into.operands = decoder.destinations(from.operands[0]);
    const auto sources = decoder.sources(from.operands[1], unpacks && bits == 64);
    into.operands.insert(into.operands.end(), sources.begin(), sources.end());
    into.mode    = bits / static_cast<uint32_t>(into.operands.size() - 1);
    into.execute = unpacks ? unpack : pack;
    return bits <= 64;
}

static bool build_move(Decoder & decoder, const Statement & from, Instruction & into) {
    if (from.operands.size() != 2 || from.parts.size() != 2) return false;
    const Type          type = from.type();
    const std::string & source = from.operands[1];
    if (type.name == "pred") {
        into.operands = {decoder.destination(from.operands[0]), decoder.predicate(source)};
        into.execute  = copy_predicate;
        return true;
    }
    if (from.operands[0][0] == '{' || source[0] == '{') return build_vector(decoder, from, into, type.bits);
    into.operands = {decoder.destination(from.operands[0])};
    if (source[0] == '%' || decoder.is_register(source) || is_number(source) || source == "WARP_SZ") {
        into.operands.push_back(decoder.source(source, type.is_wide()));
        const bool same = into.operands[0].wide == into.operands[1].wide;
        into.execute    = !same ? copy_address : into.operands[0].wide ? copy<uint64_t> : copy<uint32_t>;
        return true;
    }
    const Address address = decoder.address(source);
    into.operands.push_back(address.operand);
    into.immediate      = address.offset;
    into.dynamic_shared = address.dynamic;
    into.execute        = copy_address;
    return true;
}

// --- address spaces: a generic address of shared memory is where the host has it

static void generic_of_shared(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const Operand & to = instruction.operands[0], & from = instruction.operands[1];
    const auto      base = reinterpret_cast<uint64_t>(warp.block->shared) + static_cast<uint64_t>(instruction.immediate);
    for_lanes(lanes, [&](int lane) {
        write_bits(warp.destination(to), to.wide, lane, read_bits(warp.source(from), from.wide, lane) + base);
    });
}

static void shared_of_generic(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const Operand & to = instruction.operands[0], & from = instruction.operands[1];
    const auto      base = reinterpret_cast<uint64_t>(warp.block->shared);
    for_lanes(lanes, [&](int lane) {
        write_bits(warp.destination(to), to.wide, lane, read_bits(warp.source(from), from.wide, lane) - base);
    });
}

static bool build_address(Decoder & decoder, const Statement & from, Instruction & into) {
    const Address address = decoder.address(from.operands[1]);
    into.operands       = {decoder.destination(from.operands[0]), address.operand};
    into.immediate      = address.offset;
    into.dynamic_shared = address.dynamic;
    const bool shared   = from.has("shared") || from.has("shared::cta");
    into.execute        = !shared ? copy_address : from.has("to") ? shared_of_generic : generic_of_shared;
    return shared || from.has("global") || from.has("local") || from.has("param") || from.has("const");
}

static bool is_within(uint64_t address, const void * begin, uint64_t size) {
    return address - reinterpret_cast<uint64_t>(begin) < size;
}

static void is_space(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const Operand & from   = instruction.operands[1];
    const Block &   block  = *warp.block;
    uint32_t        result = 0;
    for_lanes(lanes, [&](int lane) {
        const uint64_t address = read_bits(warp.source(from), from.wide, lane);
        const uint64_t local   = uint64_t{block.program->local_bytes} * block.warps.size() * 32;
        const bool     shared  = is_within(address, block.shared, block.shared_bytes);
        const bool     is_local = is_within(address, block.local_base, local);
        const bool     holds = instruction.space == Space::shared ? shared : instruction.space == Space::local ? is_local : !shared && !is_local;
        result |= static_cast<uint32_t>(holds) << lane;
    });
    uint8_t * to = warp.destination(instruction.operands[0]);
    write<uint32_t>(to, 0, (read<uint32_t>(to, 0) & ~lanes) | result);
}

static bool build_is_space(Decoder & decoder, const Statement & from, Instruction & into) {
    into.operands = {decoder.destination(from.operands[0]), decoder.source(from.operands[1], true)};
    into.space    = from.has("shared") ? Space::shared : from.has("local") ? Space::local : Space::global;
    into.execute  = is_space;
    return from.has("shared") || from.has("local") || from.has("global");
}

void add_move(Builders & builders) {
    builders["mov"] = build_move, builders["cvta"] = build_address, builders["isspacep"] = build_is_space;
}

}  // namespace emulator
