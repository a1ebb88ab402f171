// cvt, between any two types; and into pairs of small floats.
#include <algorithm>
#include <cmath>
#include <limits>

#include "elementwise.h"
#include "floats.h"

namespace emulator {

struct Half {};
struct Bfloat {};

// `mode` of a conversion: the rounding in its low bits.
constexpr uint32_t rounding_mask = 7, saturates = 8, to_integral = 16;

template <class S> inline auto load(const uint8_t * slots, bool wide, int lane) {
    const uint64_t bits = read_bits(slots, wide, lane);
    if constexpr (std::is_same_v<S, Half>) {
        return half_to_float(static_cast<uint16_t>(bits));
    } else if constexpr (std::is_same_v<S, Bfloat>) {
        return bfloat_to_float(static_cast<uint16_t>(bits));
    } else {
        S value;
        std::memcpy(&value, &bits, sizeof value);
        return value;
    }
}

template <class V> V integral(V value, Rounding rounding) {
    switch (rounding) {
        case Rounding::zero: return std::trunc(value);
        case Rounding::down: return std::floor(value);
        case Rounding::up: return std::ceil(value);
        case Rounding::nearest:
        case Rounding::approximate: break;
    }
    return std::nearbyint(value);
}

template <class D> uint64_t extended(D value) {
    if constexpr (std::is_signed_v<D>) return static_cast<uint64_t>(static_cast<int64_t>(value));
    else return value;
}

// What does not fit becomes the nearest value that does; NaN becomes 0.
template <class D, class V> D to_integer(V value, Rounding rounding) {
    const double rounded = integral(static_cast<double>(value), rounding);
    const auto   lowest = std::numeric_limits<D>::min(), highest = std::numeric_limits<D>::max();
    if (std::isnan(rounded)) return 0;
    if (rounded <= static_cast<double>(lowest)) return lowest;
    if (rounded >= static_cast<double>(highest)) return highest;
    return static_cast<D>(rounded);
}

template <class D, class V> D saturated(V value) {
    const auto wide = static_cast<__int128>(value);
    const auto lowest = static_cast<__int128>(std::numeric_limits<D>::min());
    const auto highest = static_cast<__int128>(std::numeric_limits<D>::max());
    return static_cast<D>(std::clamp(wide, lowest, highest));
}

template <class V> V unit_range(V value) { return !(value > 0) ? V(0) : value > 1 ? V(1) : value; }

// The bits of the result.
template <class D, class V> inline uint64_t converted(V value, uint32_t mode) {
    const auto rounding = static_cast<Rounding>(mode & rounding_mask);
    if constexpr (std::is_same_v<D, Half>) {
        if (mode & saturates) return double_to_half(unit_range(static_cast<double>(value)), rounding);
        if (rounding == Rounding::nearest && sizeof(V) <= 4 && std::is_floating_point_v<V>) return float_to_half(static_cast<float>(value));
        return double_to_half(static_cast<double>(value), rounding);
    } else if constexpr (std::is_same_v<D, Bfloat>) {
        return float_to_bfloat(static_cast<float>(value));
    } else if constexpr (std::is_floating_point_v<D>) {
        D result = static_cast<D>(value);
        if (mode & to_integral) result = integral(result, rounding);
        if (mode & saturates) result = unit_range(result);
        uint64_t bits = 0;
        std::memcpy(&bits, &result, sizeof result);
        return bits;
    } else if constexpr (std::is_floating_point_v<V>) {
        return extended(to_integer<D>(value, rounding));
    } else {
        return extended(mode & saturates ? saturated<D>(value) : static_cast<D>(value));
    }
}

template <class D, class S> void convert(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * from = warp.source(instruction.operands[1]);
    uint8_t *       to   = warp.destination(instruction.operands[0]);
    const bool      wide_from = instruction.operands[1].wide, wide_to = instruction.operands[0].wide;
    const uint32_t  mode = instruction.mode;
    for_lanes(lanes, [&](int lane) {
        write_bits(to, wide_to, lane, converted<D>(load<S>(from, wide_from, lane), mode));
    });
}

template <class S> Execute convert_to(const std::string & type) {
    if (type == "f32") return convert<float, S>;
    if (type == "f64") return convert<double, S>;
    if (type == "f16") return convert<Half, S>;
    if (type == "bf16") return convert<Bfloat, S>;
    if (type == "s8") return convert<int8_t, S>;
    if (type == "u8") return convert<uint8_t, S>;
    if (type == "s16") return convert<int16_t, S>;
    if (type == "u16") return convert<uint16_t, S>;
    if (type == "s32") return convert<int32_t, S>;
    if (type == "u32") return convert<uint32_t, S>;
    if (type == "s64") return convert<int64_t, S>;
    if (type == "u64") return convert<uint64_t, S>;
    return nullptr;
}

static Execute convert_from(const std::string & from, const std::string & to) {
    if (from == "f32") return convert_to<float>(to);
    if (from == "f64") return convert_to<double>(to);
    if (from == "f16") return convert_to<Half>(to);
    if (from == "bf16") return convert_to<Bfloat>(to);
    if (from == "s8") return convert_to<int8_t>(to);
    if (from == "u8") return convert_to<uint8_t>(to);
    if (from == "s16") return convert_to<int16_t>(to);
    if (from == "u16") return convert_to<uint16_t>(to);
    if (from == "s32") return convert_to<int32_t>(to);
    if (from == "u32") return convert_to<uint32_t>(to);
    if (from == "s64") return convert_to<int64_t>(to);
    if (from == "u64") return convert_to<uint64_t>(to);
    return nullptr;
}

// --- pairs

using ToBits   = uint32_t (*)(float);
using FromBits = float (*)(uint32_t);

static uint32_t to_half(float value) { return float_to_half(value); }
static uint32_t to_bfloat(float value) { return float_to_bfloat(value); }
static uint32_t to_e4m3(float value) { return float_to_small(e4m3, value); }
static uint32_t to_e5m2(float value) { return float_to_small(e5m2, value); }
static uint32_t to_e2m1(float value) { return float_to_small(e2m1, value); }
static float from_half(uint32_t bits) { return half_to_float(static_cast<uint16_t>(bits)); }
static float from_e4m3(uint32_t bits) { return small_to_float(e4m3, bits & 0xff); }
static float from_e5m2(uint32_t bits) { return small_to_float(e5m2, bits & 0xff); }
static float from_e2m1(uint32_t bits) { return small_to_float(e2m1, bits & 0xf); }
static float from_ue8m0(uint32_t bits) { return ue8m0_to_float(bits & 0xff); }

// A power of two that is not smaller (.rp) or not larger (.rz).
template <bool Up> uint32_t to_ue8m0(float value) {
    if (std::isnan(value)) return 255;
    int         power  = 0;
    const float fraction = std::frexp(std::fabs(value), &power);  // 0.5 is a power of two itself
    const int   exponent = power - 1 + (Up && fraction > 0.5f ? 1 : 0);
    return value == 0 ? 0 : static_cast<uint32_t>(std::clamp(exponent + 127, 0, 254));
}

// Two floats: the first one goes into the upper bits.
template <ToBits F, uint32_t Bits> void pack_pair(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * high = warp.source(instruction.operands[1]);
    const uint8_t * low  = warp.source(instruction.operands[2]);
    store_lanes<uint32_t>(warp.destination(instruction.operands[0]), lanes, [&](int lane) {
        return F(read<float>(high, lane)) << Bits | F(read<float>(low, lane));
    });
}

// From one pair to another one.
template <FromBits From, uint32_t Bits, ToBits To, uint32_t Result>
void convert_pair(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * from = warp.source(instruction.operands[1]);
    store_lanes<uint32_t>(warp.destination(instruction.operands[0]), lanes, [&](int lane) {
        const auto bits = read<uint32_t>(from, lane);
        return To(From(bits >> Bits)) << Result | To(From(bits));
    });
}

static Execute pair_of(const std::string & to, const std::string & from, bool up) {
    if (from == "f32") {
        if (to == "f16x2") return pack_pair<to_half, 16>;
        if (to == "bf16x2") return pack_pair<to_bfloat, 16>;
        if (to == "e4m3x2") return pack_pair<to_e4m3, 8>;
        if (to == "e5m2x2") return pack_pair<to_e5m2, 8>;
        if (to == "e2m1x2") return pack_pair<to_e2m1, 4>;
        if (to == "ue8m0x2") return up ? pack_pair<to_ue8m0<true>, 8> : pack_pair<to_ue8m0<false>, 8>;
    }
    if (to == "f16x2") {
        if (from == "e4m3x2") return convert_pair<from_e4m3, 8, to_half, 16>;
        if (from == "e5m2x2") return convert_pair<from_e5m2, 8, to_half, 16>;
        if (from == "e2m1x2") return convert_pair<from_e2m1, 4, to_half, 16>;
    }
    if (to == "bf16x2" && from == "ue8m0x2") return convert_pair<from_ue8m0, 8, to_bfloat, 16>;
    if (from == "f16x2" && to == "e4m3x2") return convert_pair<from_half, 16, to_e4m3, 8>;
    if (from == "f16x2" && to == "e5m2x2") return convert_pair<from_half, 16, to_e5m2, 8>;
    return nullptr;
}

// To tf32, ties away from zero (.rna) or to even (.rn).
template <bool Even> float to_tf32(float value) {
    const auto bits = bits_as<uint32_t>(value);
    return std::isfinite(value) ? tf32_to_float(bits + (Even ? 0xfff + (bits >> 13 & 1) : 0x1000)) : value;
}

// --- the instruction

static uint32_t rounding_of(const Statement & from, bool to_integer) {
    const auto is = [&](const char * a, const char * b) { return from.has(a) || from.has(b); };
    uint32_t   mode = from.has("sat") ? saturates : 0;
    for (const char * part : {"rni", "rzi", "rmi", "rpi"}) mode |= from.has(part) ? to_integral : 0;
    if (is("rz", "rzi")) return mode | static_cast<uint32_t>(Rounding::zero);
    if (is("rm", "rmi")) return mode | static_cast<uint32_t>(Rounding::down);
    if (is("rp", "rpi")) return mode | static_cast<uint32_t>(Rounding::up);
    if (is("rn", "rni") || !to_integer) return mode | static_cast<uint32_t>(Rounding::nearest);
    return mode | static_cast<uint32_t>(Rounding::zero);
}

static bool build_pair(Decoder & decoder, const Statement & from, Instruction & into, const std::string & to) {
    const std::string source = from.type().name;
    into.execute             = pair_of(to, source, from.has("rp"));
    const size_t operands    = source == "f32" ? 3 : 2;
    if (!into.execute || from.operands.size() != operands || from.has("relu")) return false;
    take_operands(decoder, from, into, false);
    return true;
}

static bool build_convert(Decoder & decoder, const Statement & from, Instruction & into) {
    if (from.parts.size() < 3 || from.has("relu")) return false;
    const std::string to = from.parts[from.parts.size() - 2], source = from.type().name;
    if (to.size() > 2 && to.compare(to.size() - 2, 2, "x2") == 0) return build_pair(decoder, from, into, to);
    if (from.operands.size() != 2) return false;
    into.operands = {decoder.destination(from.operands[0]), decoder.source(from.operands[1], from.type().is_wide())};
    if (to == "tf32") {
        into.execute = from.has("rna") ? unary<float, float, to_tf32<false>> : unary<float, float, to_tf32<true>>;
        return source == "f32" && (from.has("rna") || from.has("rn"));
    }
    const bool from_float = source[0] == 'f' || source[0] == 'b', to_float = to[0] == 'f' || to[0] == 'b';
    into.mode    = rounding_of(from, from_float && !to_float);
    into.execute = convert_from(source, to);
    // Other roundings of results that the host rounds itself.
    const bool rounds = to_float && to != "f16" && !(into.mode & to_integral) && source != to;
    if (rounds && (into.mode & rounding_mask) != 0) return false;
    return into.execute != nullptr;
}

void add_convert(Builders & builders) { builders["cvt"] = build_convert; }

}  // namespace emulator
