// and, or, xor, not, shl, shr, shf, lop3, prmt, bfi, bfe, bmsk, popc, clz, brev, bfind, dp4a.
#include <algorithm>
#include <cstdlib>

#include "elementwise.h"

namespace emulator {

template <class T> T bit_and(T a, T b) { return static_cast<T>(a & b); }
template <class T> T bit_or(T a, T b) { return static_cast<T>(a | b); }
template <class T> T bit_xor(T a, T b) { return static_cast<T>(a ^ b); }
template <class T> T bit_not(T a) { return static_cast<T>(~a); }

// A shift by the width or more leaves nothing, or copies of the sign.
template <class T> T shift_left(T a, uint32_t by) {
    return by >= 8 * sizeof(T) ? T(0) : static_cast<T>(static_cast<uint64_t>(a) << by);
}
template <class T> T shift_right(T a, uint32_t by) {
    constexpr uint32_t bits = 8 * sizeof(T);
    if (by >= bits) return a < 0 ? static_cast<T>(-1) : T(0);
    return static_cast<T>(a >> by);
}

template <class T> uint32_t count_bits(T a) { return static_cast<uint32_t>(__builtin_popcountll(a)); }
template <class T> uint32_t leading_zeros(T a) {
    return a ? static_cast<uint32_t>(__builtin_clzll(a)) - (64 - 8 * sizeof(T)) : 8 * sizeof(T);
}
template <class T> T reversed(T a) {
    T result = 0;
    for (size_t i = 0; i < 8 * sizeof(T); ++i) result = static_cast<T>(result | (a >> i & 1) << (8 * sizeof(T) - 1 - i));
    return result;
}
// The highest bit that differs from the sign, all bits without one.
template <class T> uint32_t highest_bit(T a) {
    const auto size = static_cast<std::make_unsigned_t<T>>(a < 0 ? ~a : a);
    return size ? static_cast<uint32_t>(8 * sizeof(T)) - 1 - leading_zeros(size) : ~0u;
}

template <class T> struct And { static constexpr Execute execute = binary<T, T, T, bit_and<T>>; };
template <class T> struct Or { static constexpr Execute execute = binary<T, T, T, bit_or<T>>; };
template <class T> struct Xor { static constexpr Execute execute = binary<T, T, T, bit_xor<T>>; };
template <class T> struct Not { static constexpr Execute execute = unary<T, T, bit_not<T>>; };
template <class T> struct ShiftLeft { static constexpr Execute execute = binary<T, T, uint32_t, shift_left<T>>; };
template <class T> struct ShiftRight { static constexpr Execute execute = binary<T, T, uint32_t, shift_right<T>>; };
template <class T> struct HighestBit { static constexpr Execute execute = unary<uint32_t, T, highest_bit<T>>; };

// Of predicates, a bit for each lane.
enum class Logic : uint32_t { both, either, one, inverse };

template <Logic L> void combine_predicates(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const auto value = [&](size_t operand) {
        const Operand & from = instruction.operands[operand];
        const auto      bits = read<uint32_t>(warp.source(from), 0);
        return from.negated ? ~bits : bits;
    };
    const uint32_t a = value(1), b = L == Logic::inverse ? 0 : value(2);
    const uint32_t result = L == Logic::both ? a & b : L == Logic::either ? a | b : L == Logic::one ? a ^ b : ~a;
    uint8_t *      to     = warp.destination(instruction.operands[0]);
    write<uint32_t>(to, 0, (read<uint32_t>(to, 0) & ~lanes) | (result & lanes));
}

template <template <class> class Make, Logic L>
bool build_logic(Decoder & decoder, const Statement & from, Instruction & into) {
    const Type type = from.type();
    if (type.name == "pred") {
        for (const auto & operand : from.operands) into.operands.push_back(decoder.predicate(operand));
        into.execute = combine_predicates<L>;
        return true;
    }
    into.execute = of_integer<Make>(type.name);
    take_operands(decoder, from, into, type.is_wide());
    return into.execute != nullptr;
}

template <template <class> class Make> bool build_shift(Decoder & decoder, const Statement & from, Instruction & into) {
    const Type type = from.type();
    into.operands   = {decoder.destination(from.operands[0]), decoder.source(from.operands[1], type.is_wide()),
                       decoder.source(from.operands[2], false)};
    into.execute    = of_integer<Make>(type.name);
    return into.execute != nullptr;
}

// shf: 32 bits out of 64; the amount wraps around or is limited.
static void funnel(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * low  = warp.source(instruction.operands[1]);
    const uint8_t * high = warp.source(instruction.operands[2]);
    const uint8_t * by   = warp.source(instruction.operands[3]);
    const bool      right = instruction.mode & 1, wraps = instruction.mode & 2;
    store_lanes<uint32_t>(warp.destination(instruction.operands[0]), lanes, [&](int lane) {
        const uint64_t both   = read<uint32_t>(low, lane) | uint64_t{read<uint32_t>(high, lane)} << 32;
        const auto     wanted = read<uint32_t>(by, lane);
        const uint32_t amount = wraps ? wanted & 31 : std::min(wanted, 32u);
        return static_cast<uint32_t>(right ? both >> amount : (both << amount) >> 32);
    });
}

static bool build_funnel(Decoder & decoder, const Statement & from, Instruction & into) {
    take_operands(decoder, from, into, false);
    into.mode    = (from.has("r") ? 1 : 0) | (from.has("wrap") ? 2 : 0);
    into.execute = funnel;
    return true;
}

// lop3: any function of three bits, by its truth table.
static void look_up(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * a = warp.source(instruction.operands[1]);
    const uint8_t * b = warp.source(instruction.operands[2]);
    const uint8_t * c = warp.source(instruction.operands[3]);
    store_lanes<uint32_t>(warp.destination(instruction.operands[0]), lanes, [&](int lane) {
        const auto x = read<uint32_t>(a, lane), y = read<uint32_t>(b, lane), z = read<uint32_t>(c, lane);
        uint32_t   result = 0;
        for (uint32_t row = 0; row < 8; ++row) {
            if (!(instruction.mode >> row & 1)) continue;
            result |= (row & 4 ? x : ~x) & (row & 2 ? y : ~y) & (row & 1 ? z : ~z);
        }
        return result;
    });
}

static bool build_look_up(Decoder & decoder, const Statement & from, Instruction & into) {
    if (from.operands.size() != 5 || from.parts.size() != 2) return false;
    into.operands = {decoder.destination(from.operands[0])};
    for (size_t i = 1; i < 4; ++i) into.operands.push_back(decoder.source(from.operands[i], false));
    into.mode    = static_cast<uint32_t>(number(from.operands[4], 32));
    into.execute = look_up;
    return true;
}

// prmt: each byte one of eight, or its sign.
static void permute(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * a = warp.source(instruction.operands[1]);
    const uint8_t * b = warp.source(instruction.operands[2]);
    const uint8_t * c = warp.source(instruction.operands[3]);
    store_lanes<uint32_t>(warp.destination(instruction.operands[0]), lanes, [&](int lane) {
        const uint64_t both     = read<uint32_t>(a, lane) | uint64_t{read<uint32_t>(b, lane)} << 32;
        const auto     selector = read<uint32_t>(c, lane);
        uint32_t       result   = 0;
        for (int i = 0; i < 4; ++i) {
            const uint32_t choice = selector >> 4 * i & 15;
            uint32_t       byte   = both >> 8 * (choice & 7) & 0xff;
            if (choice & 8) byte = byte & 0x80 ? 0xff : 0;
            result |= byte << 8 * i;
        }
        return result;
    });
}

static bool build_permute(Decoder & decoder, const Statement & from, Instruction & into) {
    if (from.parts.size() != 2) return false;  // the modes of two registers (f4e, rc8, ...)
    take_operands(decoder, from, into, false);
    into.execute = permute;
    return true;
}

static uint64_t low_bits(uint64_t count) { return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1; }

template <class T> void insert_field(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * from[4];
    for (size_t i = 0; i < 4; ++i) from[i] = warp.source(instruction.operands[i + 1]);
    store_lanes<T>(warp.destination(instruction.operands[0]), lanes, [&](int lane) {
        const uint64_t position = read<uint32_t>(from[2], lane) & 255, length = read<uint32_t>(from[3], lane) & 255;
        const auto     base = read<T>(from[1], lane);
        if (position >= 8 * sizeof(T)) return base;
        const uint64_t mask = low_bits(length) << position;
        return static_cast<T>((base & ~mask) | (uint64_t{read<T>(from[0], lane)} << position & mask));
    });
}

template <class T> void extract_field(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    constexpr uint64_t bits = 8 * sizeof(T);
    const uint8_t *    from[3];
    for (size_t i = 0; i < 3; ++i) from[i] = warp.source(instruction.operands[i + 1]);
    store_lanes<T>(warp.destination(instruction.operands[0]), lanes, [&](int lane) {
        const uint64_t position = read<uint32_t>(from[1], lane) & 255, length = read<uint32_t>(from[2], lane) & 255;
        const uint64_t value    = read<T>(from[0], lane);
        uint64_t       field    = position < bits ? value >> position & low_bits(length) : 0;
        if (instruction.sign_extends && length) {
            const uint64_t sign = value >> std::min(position + length - 1, bits - 1) & 1;
            const uint64_t have = position < bits ? std::min(length, bits - position) : 0;
            if (sign) field |= ~low_bits(have);
        }
        return static_cast<T>(field);
    });
}

static bool build_insert(Decoder & decoder, const Statement & from, Instruction & into) {
    const bool wide = from.type().is_wide();
    into.operands   = {decoder.destination(from.operands[0]), decoder.source(from.operands[1], wide),
                       decoder.source(from.operands[2], wide), decoder.source(from.operands[3], false),
                       decoder.source(from.operands[4], false)};
    into.execute    = wide ? insert_field<uint64_t> : insert_field<uint32_t>;
    return true;
}

static bool build_extract(Decoder & decoder, const Statement & from, Instruction & into) {
    const bool wide   = from.type().is_wide();
    into.operands     = {decoder.destination(from.operands[0]), decoder.source(from.operands[1], wide),
                         decoder.source(from.operands[2], false), decoder.source(from.operands[3], false)};
    into.sign_extends = from.type().kind == 's';
    into.execute      = wide ? extract_field<uint64_t> : extract_field<uint32_t>;
    return true;
}

// bmsk: so many ones from a position on.
template <bool Wraps> uint32_t bit_mask(uint32_t position, uint32_t count) {
    if (Wraps) return static_cast<uint32_t>(low_bits(count & 31)) << (position & 31);
    return position >= 32 ? 0 : static_cast<uint32_t>(low_bits(std::min(count, 32u)) << position);
}

static bool build_mask(Decoder & decoder, const Statement & from, Instruction & into) {
    take_operands(decoder, from, into, false);
    into.execute = from.has("wrap") ? binary<uint32_t, uint32_t, uint32_t, bit_mask<true>> : binary<uint32_t, uint32_t, uint32_t, bit_mask<false>>;
    return true;
}

// Counts have 32 bits, whatever they count in.
template <uint32_t (*Narrow)(uint32_t), uint32_t (*Wide)(uint64_t)>
bool build_count(Decoder & decoder, const Statement & from, Instruction & into) {
    const Type type = from.type();
    if (type.kind != 'b') return false;
    take_operands(decoder, from, into, type.is_wide());
    into.execute = type.is_wide() ? unary<uint32_t, uint64_t, Wide> : unary<uint32_t, uint32_t, Narrow>;
    return true;
}

static bool build_reverse(Decoder & decoder, const Statement & from, Instruction & into) {
    const bool wide = from.type().is_wide();
    take_operands(decoder, from, into, wide);
    into.execute = wide ? unary<uint64_t, uint64_t, reversed<uint64_t>> : unary<uint32_t, uint32_t, reversed<uint32_t>>;
    return true;
}

static bool build_find(Decoder & decoder, const Statement & from, Instruction & into) {
    if (from.has("shiftamt")) return false;
    take_operands(decoder, from, into, from.type().is_wide());
    into.execute = of_integer<HighestBit>(from.type().name);
    return into.execute != nullptr;
}

// dp4a: the sum of four products of bytes; each side signed or not.
template <class A, class B> void dot4(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * a = warp.source(instruction.operands[1]);
    const uint8_t * b = warp.source(instruction.operands[2]);
    const uint8_t * c = warp.source(instruction.operands[3]);
    store_lanes<uint32_t>(warp.destination(instruction.operands[0]), lanes, [&](int lane) {
        const auto x = read<uint32_t>(a, lane), y = read<uint32_t>(b, lane);
        uint32_t   sum = read<uint32_t>(c, lane);
        for (int i = 0; i < 32; i += 8) {
            sum += static_cast<uint32_t>(int32_t{static_cast<A>(x >> i)} * int32_t{static_cast<B>(y >> i)});
        }
        return sum;
    });
}

static bool build_dot4(Decoder & decoder, const Statement & from, Instruction & into) {
    if (from.parts.size() != 3) return false;
    const bool a = from.parts[1] == "s32", b = from.parts[2] == "s32";
    take_operands(decoder, from, into, false);
    into.execute = a ? (b ? dot4<int8_t, int8_t> : dot4<int8_t, uint8_t>) : (b ? dot4<uint8_t, int8_t> : dot4<uint8_t, uint8_t>);
    return true;
}

void add_bits(Builders & builders) {
    builders["and"] = build_logic<And, Logic::both>, builders["or"] = build_logic<Or, Logic::either>;
    builders["xor"] = build_logic<Xor, Logic::one>, builders["not"] = build_logic<Not, Logic::inverse>;
    builders["shl"] = build_shift<ShiftLeft>, builders["shr"] = build_shift<ShiftRight>;
    builders["shf"] = build_funnel, builders["lop3"] = build_look_up, builders["prmt"] = build_permute;
    builders["bfi"] = build_insert, builders["bfe"] = build_extract;
    builders["popc"] = build_count<count_bits<uint32_t>, count_bits<uint64_t>>;
    builders["clz"] = build_count<leading_zeros<uint32_t>, leading_zeros<uint64_t>>;
    builders["bmsk"] = build_mask, builders["brev"] = build_reverse, builders["bfind"] = build_find, builders["dp4a"] = build_dot4;
}

}  // namespace emulator
