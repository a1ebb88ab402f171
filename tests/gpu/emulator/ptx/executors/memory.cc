// ld and st in all spaces; and hints, which do nothing here.
#include "addresses.h"

namespace emulator {

template <int Bytes> uint64_t extended(uint64_t value) {
    if constexpr (Bytes == 1) return static_cast<uint64_t>(int64_t{static_cast<int8_t>(value)});
    if constexpr (Bytes == 2) return static_cast<uint64_t>(int64_t{static_cast<int16_t>(value)});
    if constexpr (Bytes == 4) return static_cast<uint64_t>(int64_t{static_cast<int32_t>(value)});
    return value;
}

template <int Bytes, int Count> void load(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    constexpr uint32_t all = Bytes * Count;
    uint8_t *          to[Count];
    bool               wide[Count];
    for (int i = 0; i < Count; ++i) {
        to[i]   = warp.destination(instruction.operands[i + 1]);
        wide[i] = instruction.operands[i + 1].wide;
    }
    const bool sign_extends = instruction.sign_extends;
    for_lanes(lanes, [&](int lane) {
        const uint64_t  address = address_of(warp, instruction, lane);
        const uint8_t * from    = checked_bytes(warp, instruction, lane, address, all, all, Access::read);
        uint8_t         copy[all];  // the address may be in a destination
        std::memcpy(copy, from, all);
        for (int i = 0; i < Count; ++i) {
            uint64_t value = 0;
            std::memcpy(&value, copy + i * Bytes, Bytes);
            write_bits(to[i], wide[i], lane, sign_extends ? extended<Bytes>(value) : value);
        }
    });
}

template <int Bytes, int Count> void store(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    constexpr uint32_t all = Bytes * Count;
    for_lanes(lanes, [&](int lane) {
        const uint64_t address = address_of(warp, instruction, lane);
        uint8_t *      to      = checked_bytes(warp, instruction, lane, address, all, all, Access::write);
        for (int i = 0; i < Count; ++i) {
            const Operand & from  = instruction.operands[i + 1];
            const uint64_t  value = read_bits(warp.source(from), from.wide, lane);
            std::memcpy(to + i * Bytes, &value, Bytes);
        }
    });
}

// The same for all lanes.
template <int Bytes, int Count> void load_parameter(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * from = warp.block->parameters + instruction.immediate;
    for (int i = 0; i < Count; ++i) {
        const Operand & to    = instruction.operands[i + 1];
        uint64_t        value = 0;
        std::memcpy(&value, from + i * Bytes, Bytes);
        if (instruction.sign_extends) value = extended<Bytes>(value);
        for_lanes(lanes, [&](int lane) { write_bits(warp.destination(to), to.wide, lane, value); });
    }
}

struct Accesses {
    Execute load = nullptr, store = nullptr, load_parameter = nullptr;
};

template <int Bytes> Accesses accesses_of(size_t count) {
    switch (count) {
        case 1: return {load<Bytes, 1>, store<Bytes, 1>, load_parameter<Bytes, 1>};
        case 2: return {load<Bytes, 2>, store<Bytes, 2>, load_parameter<Bytes, 2>};
        case 4: return {load<Bytes, 4>, store<Bytes, 4>, load_parameter<Bytes, 4>};
        case 8: return {load<Bytes, 8>, store<Bytes, 8>, load_parameter<Bytes, 8>};
        default: return {};
    }
}

static Accesses accesses_of(uint32_t bytes, size_t count) {
    switch (bytes) {
        case 1: return accesses_of<1>(count);
        case 2: return accesses_of<2>(count);
        case 4: return accesses_of<4>(count);
        case 8: return accesses_of<8>(count);
        default: return {};
    }
}

static bool build_load(Decoder & decoder, const Statement & from, Instruction & into) {
    const Type type = from.type();
    take_address(decoder, from, into, from.operands[1]);
    for (const auto & to : decoder.destinations(from.operands[0])) into.operands.push_back(to);
    into.sign_extends       = type.kind == 's';
    const Accesses accesses = accesses_of(type.bytes(), into.operands.size() - 1);
    const bool     constant = into.space == Space::parameter && into.operands[0].base == 0 &&
                          into.operands[0].offset == offset_of(Special::parameter_base);
    into.execute = constant ? accesses.load_parameter : accesses.load;
    return into.execute != nullptr;
}

static bool build_store(Decoder & decoder, const Statement & from, Instruction & into) {
    const Type type = from.type();
    take_address(decoder, from, into, from.operands[0]);
    for (const auto & value : decoder.sources(from.operands[1], type.is_wide())) into.operands.push_back(value);
    into.execute = accesses_of(type.bytes(), into.operands.size() - 1).store;
    return into.execute != nullptr;
}

static void nothing(Warp &, const Instruction &, uint32_t) {}

// Hints for caches, and orders of memory: an instruction is complete before the next one begins.
static bool build_hint(Decoder &, const Statement &, Instruction & into) {
    into.execute = nothing;
    return true;
}

void add_memory(Builders & builders) {
    builders["ld"] = build_load, builders["ldu"] = build_load, builders["st"] = build_store;
    for (const char * hint : {"prefetch", "prefetchu", "discard", "applypriority", "membar", "fence", "griddepcontrol"}) {
        builders[hint] = build_hint;
    }
}

}  // namespace emulator
