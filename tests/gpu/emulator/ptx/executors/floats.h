// Floating-point types that the host has no arithmetic for: their bits to float and back.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "../machine/lanes.h"

namespace emulator {

enum class Rounding : uint32_t { nearest, zero, down, up, approximate };

// A small format: sign, exponent, mantissa; without infinities in the fp8 and fp4 formats of the Open Compute Project.
struct SmallFloat {
    int  exponent_bits, mantissa_bits;
    bool has_infinity;

    int bias() const { return (1 << (exponent_bits - 1)) - 1; }
    int bits() const { return 1 + exponent_bits + mantissa_bits; }
};

constexpr SmallFloat e4m3 = {4, 3, false}, e5m2 = {5, 2, true}, e2m1 = {2, 1, false}, e2m3 = {2, 3, false}, e3m2 = {3, 2, false};

inline float small_to_float(SmallFloat format, uint32_t bits) {
    const uint32_t mantissa_mask = (1u << format.mantissa_bits) - 1, exponent_mask = (1u << format.exponent_bits) - 1;
    const uint32_t mantissa = bits & mantissa_mask, exponent = bits >> format.mantissa_bits & exponent_mask;
    const float    sign = bits >> (format.bits() - 1) & 1 ? -1.0f : 1.0f;
    if (format.has_infinity && exponent == exponent_mask) return mantissa ? NAN : sign * INFINITY;
    if (format.bits() == 8 && !format.has_infinity && (bits & 0x7f) == 0x7f) return NAN;
    const int scale = (exponent ? static_cast<int>(exponent) : 1) - format.bias() - format.mantissa_bits;
    return sign * std::ldexp(static_cast<float>(mantissa | (exponent ? mantissa_mask + 1 : 0)), scale);
}

// To the nearest, ties to even; what is too large becomes the largest finite value (.satfinite).
inline uint32_t float_to_small(SmallFloat format, float value) {
    const uint32_t sign = std::signbit(value) ? 1u << (format.bits() - 1) : 0;
    const uint32_t largest = (1u << (format.bits() - 1)) - (format.bits() == 8 ? 2u : 1u);
    const uint32_t finite  = format.has_infinity ? 0x7bu : largest;
    if (std::isnan(value)) return format.bits() == 8 ? 0x7f : finite;
    const float size  = std::fabs(value);
    int         power = 0;
    std::frexp(size, &power);
    const int lowest = 1 - format.bias();
    const int unit   = std::max(power - 1, lowest) - format.mantissa_bits;
    // In units of the last place; a carry moves on into the exponent by itself.
    const double   steps   = std::nearbyint(std::ldexp(static_cast<double>(size), -unit));
    const uint32_t leading = 1u << format.mantissa_bits;
    if (steps > 1e6) return sign | finite;
    const auto     count   = static_cast<uint32_t>(steps);
    const uint32_t shift   = static_cast<uint32_t>(unit + format.mantissa_bits - lowest);
    const uint32_t bits    = count < leading ? count : (shift << format.mantissa_bits) + count;
    return sign | (bits > finite ? finite : bits);
}

// Scale factors: a power of two, and an unsigned e4m3.
inline float ue8m0_to_float(uint32_t bits) { return bits == 255 ? NAN : std::ldexp(1.0f, static_cast<int>(bits) - 127); }
inline float ue4m3_to_float(uint32_t bits) { return small_to_float(e4m3, bits & 0x7f); }

inline float half_to_float(uint16_t bits) { return static_cast<float>(bits_as<_Float16>(bits)); }
inline uint16_t float_to_half(float value) { return bits_as<uint16_t>(static_cast<_Float16>(value)); }

inline float bfloat_to_float(uint16_t bits) { return bits_as<float>(static_cast<uint32_t>(bits) << 16); }

inline uint16_t float_to_bfloat(float value) {
    uint32_t bits = bits_as<uint32_t>(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
    bits += 0x7fff + (bits >> 16 & 1);
    return static_cast<uint16_t>(bits >> 16);
}

// By a rounding of the instruction's: the value itself is exact in double.
inline uint16_t double_to_half(double value, Rounding rounding) {
    uint16_t     bits   = bits_as<uint16_t>(static_cast<_Float16>(value));
    const double result = static_cast<double>(bits_as<_Float16>(bits));
    const bool   lower  = result < value, higher = result > value;
    const bool   smaller_size = rounding == Rounding::zero && std::fabs(result) > std::fabs(value);
    const bool   downwards    = rounding == Rounding::down && higher;
    const bool   upwards      = rounding == Rounding::up && lower;
    // The next pattern in size is the next value.
    if (smaller_size || (downwards && !(bits & 0x8000)) || (upwards && bits & 0x8000)) --bits;
    else if (downwards || upwards) ++bits;
    return bits;
}

// Of tf32 the low 13 bits are ignored.
inline float tf32_to_float(uint32_t bits) { return bits_as<float>(bits & 0xffffe000u); }

}  // namespace emulator
