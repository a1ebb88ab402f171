// add, sub, mul, mad, fma, div, rem, min, max, neg, abs, copysign, and the functions of one float.
#include <algorithm>
#include <cmath>
#include <limits>

#include "elementwise.h"
#include "halves.h"

namespace emulator {

// What int promotes to would overflow as signed arithmetic: the unsigned type wraps around.
template <class T> using Wrapping = std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>, std::enable_if<true, T>>;
template <class T> using Wrap = typename Wrapping<T>::type;
// Of 16 bits the product is computed in 32 unsigned ones.
template <class T> using Product = std::conditional_t<sizeof(Wrap<T>) == 2 && std::is_integral_v<T>, uint32_t, Wrap<T>>;
// Of twice the size.
template <class T> struct Twice;
template <> struct Twice<int16_t> { using type = int32_t; };
template <> struct Twice<uint16_t> { using type = uint32_t; };
template <> struct Twice<int32_t> { using type = int64_t; };
template <> struct Twice<uint32_t> { using type = uint64_t; };
template <> struct Twice<int64_t> { using type = __int128; };
template <> struct Twice<uint64_t> { using type = unsigned __int128; };

template <class T> T add(T a, T b) { return static_cast<T>(static_cast<Product<T>>(a) + static_cast<Product<T>>(b)); }
template <class T> T subtract(T a, T b) { return static_cast<T>(static_cast<Product<T>>(a) - static_cast<Product<T>>(b)); }
template <class T> T multiply(T a, T b) { return static_cast<T>(static_cast<Product<T>>(a) * static_cast<Product<T>>(b)); }
template <class T> T multiply_add(T a, T b, T c) { return add<T>(multiply<T>(a, b), c); }

template <class T> T high(T a, T b) {
    using Wide = typename Twice<T>::type;
    return static_cast<T>((static_cast<Wide>(a) * static_cast<Wide>(b)) >> (8 * sizeof(T)));
}
template <class T> T high_add(T a, T b, T c) { return add<T>(high<T>(a, b), c); }

template <class T> typename Twice<T>::type wide(T a, T b) {
    using Wide = typename Twice<T>::type;
    return static_cast<Wide>(a) * static_cast<Wide>(b);
}
template <class T> typename Twice<T>::type wide_add(T a, T b, typename Twice<T>::type c) {
    return add<typename Twice<T>::type>(wide<T>(a, b), c);
}

// A device does not stop at a division by zero: all bits are set.
template <class T> T divide(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
        if (b == 0) return static_cast<T>(-1);
        if (std::is_signed_v<T> && a == std::numeric_limits<T>::min() && b == static_cast<T>(-1)) return a;
    }
    return static_cast<T>(a / b);
}

template <class T> T remainder(T a, T b) {
    if (b == 0) return a;
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
    return static_cast<T>(a % b);
}

template <class T> T minimum(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) return std::fmin(a, b);
    return std::min(a, b);
}
template <class T> T maximum(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) return std::fmax(a, b);
    return std::max(a, b);
}
template <class T> T negate(T a) {
    if constexpr (std::is_floating_point_v<T>) return -a;
    return subtract<T>(0, a);
}
template <class T> T absolute(T a) {
    if constexpr (std::is_floating_point_v<T>) return std::fabs(a);
    return a < 0 ? negate<T>(a) : a;
}
template <class T> T fused(T a, T b, T c) { return std::fma(a, b, c); }
template <class T> T copy_sign(T sign, T size) { return std::copysign(size, sign); }
template <class T> T reciprocal(T a) { return T(1) / a; }
template <class T> T root(T a) { return std::sqrt(a); }
template <class T> T reciprocal_root(T a) { return T(1) / std::sqrt(a); }

template <class T> struct Add { static constexpr Execute execute = binary<T, T, T, add<T>>; };
template <class T> struct Subtract { static constexpr Execute execute = binary<T, T, T, subtract<T>>; };
template <class T> struct Multiply { static constexpr Execute execute = binary<T, T, T, multiply<T>>; };
template <class T> struct Divide { static constexpr Execute execute = binary<T, T, T, divide<T>>; };
template <class T> struct Remainder { static constexpr Execute execute = binary<T, T, T, remainder<T>>; };
template <class T> struct Minimum { static constexpr Execute execute = binary<T, T, T, minimum<T>>; };
template <class T> struct Maximum { static constexpr Execute execute = binary<T, T, T, maximum<T>>; };
template <class T> struct CopySign { static constexpr Execute execute = binary<T, T, T, copy_sign<T>>; };
template <class T> struct High { static constexpr Execute execute = binary<T, T, T, high<T>>; };
template <class T> struct MultiplyAdd { static constexpr Execute execute = ternary<T, T, T, multiply_add<T>>; };
template <class T> struct HighAdd { static constexpr Execute execute = ternary<T, T, T, high_add<T>>; };
template <class T> struct Fused { static constexpr Execute execute = ternary<T, T, T, fused<T>>; };
template <class T> struct Negate { static constexpr Execute execute = unary<T, T, negate<T>>; };
template <class T> struct Absolute { static constexpr Execute execute = unary<T, T, absolute<T>>; };
template <class T> struct Reciprocal { static constexpr Execute execute = unary<T, T, reciprocal<T>>; };
template <class T> struct Root { static constexpr Execute execute = unary<T, T, root<T>>; };
template <class T> struct ReciprocalRoot { static constexpr Execute execute = unary<T, T, reciprocal_root<T>>; };

template <class T> constexpr Execute wide_product = binary<typename Twice<T>::type, T, T, wide<T>>;
template <class T> constexpr Execute wide_sum = ternary<typename Twice<T>::type, T, typename Twice<T>::type, wide_add<T>>;

static Execute wide_of(const std::string & type, bool adds) {
    if (type == "s32") return adds ? wide_sum<int32_t> : wide_product<int32_t>;
    if (type == "u32") return adds ? wide_sum<uint32_t> : wide_product<uint32_t>;
    if (type == "s16") return adds ? wide_sum<int16_t> : wide_product<int16_t>;
    if (type == "u16") return adds ? wide_sum<uint16_t> : wide_product<uint16_t>;
    return nullptr;
}

// Carries, saturating integers, and products of 24 bits are not made by the compiler for these kernels.
static bool is_plain(const Statement & from) { return !from.has("cc") && !from.has("sat"); }

static bool finish(Decoder & decoder, const Statement & from, Instruction & into, Execute execute, size_t operands) {
    if (!execute || from.operands.size() != operands) return false;
    take_operands(decoder, from, into, from.type().is_wide());
    into.execute = execute;
    return true;
}

template <template <class> class Make> bool build_number(Decoder & decoder, const Statement & from, Instruction & into) {
    if (build_halves(decoder, from, into)) return true;
    return is_plain(from) && finish(decoder, from, into, of_number<Make>(from.type().name), 3);
}

static bool build_multiply(Decoder & decoder, const Statement & from, Instruction & into) {
    const std::string type = from.type().name;
    if (build_halves(decoder, from, into)) return true;
    if (!is_plain(from)) return false;
    Execute execute = nullptr;
    if (from.has("wide")) execute = wide_of(type, false);
    else if (from.has("hi")) execute = of_integer<High>(type);
    else execute = from.has("lo") ? of_integer<Multiply>(type) : of_float<Multiply>(type);
    return finish(decoder, from, into, execute, 3);
}

static bool build_multiply_add(Decoder & decoder, const Statement & from, Instruction & into) {
    const std::string type = from.type().name;
    if (!is_plain(from)) return false;
    Execute execute = nullptr;
    if (from.has("wide")) execute = wide_of(type, true);
    else if (from.has("hi")) execute = of_integer<HighAdd>(type);
    else execute = from.has("lo") ? of_integer<MultiplyAdd>(type) : of_float<Fused>(type);
    return finish(decoder, from, into, execute, 4);
}

static bool build_fma(Decoder & decoder, const Statement & from, Instruction & into) {
    if (build_halves(decoder, from, into)) return true;
    return is_plain(from) && finish(decoder, from, into, of_float<Fused>(from.type().name), 4);
}

static bool build_negate(Decoder & decoder, const Statement & from, Instruction & into) {
    if (build_halves(decoder, from, into)) return true;
    return finish(decoder, from, into, of_number<Negate>(from.type().name), 2);
}

static bool build_absolute(Decoder & decoder, const Statement & from, Instruction & into) {
    if (build_halves(decoder, from, into)) return true;
    return finish(decoder, from, into, of_number<Absolute>(from.type().name), 2);
}

static bool build_remainder(Decoder & decoder, const Statement & from, Instruction & into) {
    return finish(decoder, from, into, of_integer<Remainder>(from.type().name), 3);
}

template <template <class> class Make> bool build_of_float(Decoder & decoder, const Statement & from, Instruction & into) {
    return finish(decoder, from, into, of_float<Make>(from.type().name), 2);
}

static bool build_copy_sign(Decoder & decoder, const Statement & from, Instruction & into) {
    return finish(decoder, from, into, of_float<CopySign>(from.type().name), 3);
}

// The approximations of the device are the host's own functions: a little more exact.
template <float (*F)(float)> bool build_function(Decoder & decoder, const Statement & from, Instruction & into) {
    if (build_halves(decoder, from, into)) return true;
    return finish(decoder, from, into, from.type().name == "f32" ? unary<float, float, F> : nullptr, 2);
}

static float power_of_two(float a) { return std::exp2(a); }
static float logarithm(float a) { return std::log2(a); }
static float sine(float a) { return std::sin(a); }
static float cosine(float a) { return std::cos(a); }
static float tangent(float a) { return std::tanh(a); }

void add_arithmetic(Builders & builders) {
    builders["add"] = build_number<Add>, builders["sub"] = build_number<Subtract>;
    builders["div"] = build_number<Divide>;
    builders["min"] = build_number<Minimum>, builders["max"] = build_number<Maximum>;
    builders["mul"] = build_multiply, builders["mad"] = build_multiply_add, builders["fma"] = build_fma;
    builders["rem"] = build_remainder;
    builders["neg"] = build_negate, builders["abs"] = build_absolute, builders["copysign"] = build_copy_sign;
    builders["rcp"] = build_of_float<Reciprocal>, builders["sqrt"] = build_of_float<Root>;
    builders["rsqrt"] = build_of_float<ReciprocalRoot>;
    builders["ex2"] = build_function<power_of_two>, builders["lg2"] = build_function<logarithm>;
    builders["sin"] = build_function<sine>, builders["cos"] = build_function<cosine>;
    builders["tanh"] = build_function<tangent>;
}

}  // namespace emulator
