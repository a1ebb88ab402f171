// setp, set, selp.
#include <algorithm>
#include <cmath>

#include "elementwise.h"
#include "floats.h"

namespace emulator {

// Values of a half type as float, of others as they are.
struct Half { uint16_t bits; };
struct Bfloat { uint16_t bits; };

template <class T> inline auto value_of(const uint8_t * slots, int lane) {
    if constexpr (std::is_same_v<T, Half>) return half_to_float(read<uint16_t>(slots, lane));
    else if constexpr (std::is_same_v<T, Bfloat>) return bfloat_to_float(read<uint16_t>(slots, lane));
    else return read<T>(slots, lane);
}

struct Equal { template <class T> static bool holds(T a, T b) { return a == b; } };
struct NotEqual { template <class T> static bool holds(T a, T b) { return a < b || a > b; } };
struct Less { template <class T> static bool holds(T a, T b) { return a < b; } };
struct LessEqual { template <class T> static bool holds(T a, T b) { return a <= b; } };
struct Greater { template <class T> static bool holds(T a, T b) { return a > b; } };
struct GreaterEqual { template <class T> static bool holds(T a, T b) { return a >= b; } };
struct IsNan { template <class T> static bool holds(T a, T b) { return a != a || b != b; } };
// The unordered variant holds where the opposite one does not.
template <class Opposite> struct Unless { template <class T> static bool holds(T a, T b) { return !Opposite::holds(a, b); } };

template <class T, class C> uint32_t compare_lanes(Warp & warp, const Operand & a, const Operand & b) {
    const uint8_t * x = warp.source(a);
    const uint8_t * y = warp.source(b);
    uint32_t        result = 0;
    for (int lane = 0; lane < 32; ++lane) {
        result |= static_cast<uint32_t>(C::holds(value_of<T>(x, lane), value_of<T>(y, lane))) << lane;
    }
    return result;
}

static uint32_t predicate_of(Warp & warp, const Operand & operand) {
    const auto bits = read<uint32_t>(warp.source(operand), 0);
    return operand.negated ? ~bits : bits;
}

static void set_predicate(Warp & warp, const Operand & operand, uint32_t lanes, uint32_t value) {
    uint8_t * to = warp.destination(operand);
    write<uint32_t>(to, 0, (read<uint32_t>(to, 0) & ~lanes) | (value & lanes));
}

// setp: the result, its inverse if `count` is 2; both combined with a predicate by `mode`.
enum Combine : uint32_t { alone, with_and, with_or, with_xor };

template <class T, class C> struct Compare {
    static void predicate(Warp & warp, const Instruction & instruction, uint32_t lanes) {
        const auto &   operands = instruction.operands;
        const size_t   first    = instruction.count;
        const uint32_t holds    = compare_lanes<T, C>(warp, operands[first], operands[first + 1]);
        const auto     combined = [&](uint32_t value) {
            if (instruction.mode == alone) return value;
            const uint32_t other = predicate_of(warp, operands[first + 2]);
            if (instruction.mode == with_and) return value & other;
            return instruction.mode == with_or ? value | other : value ^ other;
        };
        const uint32_t result = combined(holds), inverse = combined(~holds);
        set_predicate(warp, operands[0], lanes, result);
        if (instruction.count == 2) set_predicate(warp, operands[1], lanes, inverse);
    }

    // set: all bits, or 1.0.
    static void value(Warp & warp, const Instruction & instruction, uint32_t lanes) {
        const uint32_t holds = compare_lanes<T, C>(warp, instruction.operands[1], instruction.operands[2]);
        uint8_t *      to    = warp.destination(instruction.operands[0]);
        for_lanes(lanes, [&](int lane) { write<uint32_t>(to, lane, holds >> lane & 1 ? instruction.mode : 0); });
    }
};

struct Pair {
    Execute predicate = nullptr, value = nullptr;
};

template <class T, class C> Pair pair() { return {Compare<T, C>::predicate, Compare<T, C>::value}; }

template <class T> Pair compare_of(const std::string & name) {
    if (name == "eq") return pair<T, Equal>();
    if (name == "ne") return pair<T, NotEqual>();
    if (name == "lt" || name == "lo") return pair<T, Less>();
    if (name == "le" || name == "ls") return pair<T, LessEqual>();
    if (name == "gt" || name == "hi") return pair<T, Greater>();
    if (name == "ge" || name == "hs") return pair<T, GreaterEqual>();
    if constexpr (!std::is_integral_v<T>) {
        if (name == "equ") return pair<T, Unless<NotEqual>>();
        if (name == "neu") return pair<T, Unless<Equal>>();
        if (name == "ltu") return pair<T, Unless<GreaterEqual>>();
        if (name == "leu") return pair<T, Unless<Greater>>();
        if (name == "gtu") return pair<T, Unless<LessEqual>>();
        if (name == "geu") return pair<T, Unless<Less>>();
        if (name == "nan") return pair<T, IsNan>();
        if (name == "num") return pair<T, Unless<IsNan>>();
    }
    return {};
}

static Pair compare_of(const std::string & name, const std::string & type) {
    if (type == "f32") return compare_of<float>(name);
    if (type == "f64") return compare_of<double>(name);
    if (type == "f16") return compare_of<Half>(name);
    if (type == "bf16") return compare_of<Bfloat>(name);
    if (type == "s32") return compare_of<int32_t>(name);
    if (type == "u32" || type == "b32") return compare_of<uint32_t>(name);
    if (type == "s64") return compare_of<int64_t>(name);
    if (type == "u64" || type == "b64") return compare_of<uint64_t>(name);
    if (type == "s16") return compare_of<int16_t>(name);
    if (type == "u16" || type == "b16") return compare_of<uint16_t>(name);
    return {};
}

static bool build_predicate(Decoder & decoder, const Statement & from, Instruction & into) {
    const Type type = from.type();
    for (const auto & result : split(from.operands[0], '|')) {
        into.operands.push_back(result == "_" ? decoder.destination(result) : decoder.predicate(result));
    }
    into.count = static_cast<uint8_t>(into.operands.size());
    into.operands.push_back(decoder.source(from.operands[1], type.is_wide()));
    into.operands.push_back(decoder.source(from.operands[2], type.is_wide()));
    if (from.operands.size() > 3) {
        into.operands.push_back(decoder.predicate(from.operands[3]));
        into.mode = from.has("and") ? with_and : from.has("or") ? with_or : with_xor;
    }
    into.execute = compare_of(from.parts[1], type.name).predicate;
    return into.execute != nullptr;
}

static bool build_set(Decoder & decoder, const Statement & from, Instruction & into) {
    const Type        type   = from.type();
    const std::string result = from.parts[from.parts.size() - 2];
    if (from.operands.size() != 3 || (result != "u32" && result != "s32" && result != "f32")) return false;
    take_operands(decoder, from, into, type.is_wide());
    into.mode    = result == "f32" ? 0x3f800000u : ~0u;
    into.execute = compare_of(from.parts[1], type.name).value;
    return into.execute != nullptr;
}

static void select(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const auto &    operands = instruction.operands;
    const uint8_t * a        = warp.source(operands[1]);
    const uint8_t * b        = warp.source(operands[2]);
    uint8_t *       to       = warp.destination(operands[0]);
    const uint32_t  chooses  = predicate_of(warp, operands[3]);
    for_lanes(lanes, [&](int lane) {
        const bool     first = chooses >> lane & 1;
        const uint64_t value = first ? read_bits(a, operands[1].wide, lane) : read_bits(b, operands[2].wide, lane);
        write_bits(to, operands[0].wide, lane, value);
    });
}

static bool build_select(Decoder & decoder, const Statement & from, Instruction & into) {
    const bool wide = from.type().is_wide();
    into.operands   = {decoder.destination(from.operands[0]), decoder.source(from.operands[1], wide),
                       decoder.source(from.operands[2], wide), decoder.predicate(from.operands[3])};
    into.execute    = select;
    return true;
}

void add_compare(Builders & builders) {
    builders["setp"] = build_predicate, builders["set"] = build_set, builders["selp"] = build_select;
}

}  // namespace emulator
