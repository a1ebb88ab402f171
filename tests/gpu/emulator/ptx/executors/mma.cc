// mma: products of small matrices whose elements are spread over a warp's registers.
//
// Lane 4 g + t. A register of A has the elements t * n to t * n + n - 1 of row g, where n elements fit 32 bits; odd
// registers have row g + 8, each two go 4 n columns further. B is the same by columns, without the odd ones. C and
// D have the columns 2 t and 2 t + 1 of row g, then of row g + 8. So the 32 words of a register, one lane after the
// other, are 8 rows one after the other.
#include <cstdio>

#include "elementwise.h"
#include "floats.h"

namespace emulator {

struct S8 {
    using Value = int32_t;
    static constexpr int in_word = 4;
    static Value at(const uint8_t * words, int i) { return static_cast<int8_t>(words[i]); }
};
struct U8 {
    using Value = int32_t;
    static constexpr int in_word = 4;
    static Value at(const uint8_t * words, int i) { return words[i]; }
};
struct F16 {
    using Value = float;
    static constexpr int in_word = 2;
    static Value at(const uint8_t * words, int i) {
        uint16_t bits;
        std::memcpy(&bits, words + i * 2, 2);
        return half_to_float(bits);
    }
};
struct Bf16 {
    using Value = float;
    static constexpr int in_word = 2;
    static Value at(const uint8_t * words, int i) {
        uint16_t bits;
        std::memcpy(&bits, words + i * 2, 2);
        return bfloat_to_float(bits);
    }
};
struct Tf32 {
    using Value = float;
    static constexpr int in_word = 1;
    static Value at(const uint8_t * words, int i) { return tf32_to_float(read<uint32_t>(words, i)); }
};
struct E4m3 {
    using Value = float;
    static constexpr int in_word = 4;
    static Value at(const uint8_t * words, int i) { return small_to_float(e4m3, words[i]); }
};
struct E5m2 {
    using Value = float;
    static constexpr int in_word = 4;
    static Value at(const uint8_t * words, int i) { return small_to_float(e5m2, words[i]); }
};
struct E2m1 {
    using Value = float;
    static constexpr int in_word = 8;
    static Value at(const uint8_t * words, int i) {
        static constexpr float values[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
        return values[words[i / 2] >> 4 * (i % 2) & 15];
    }
};

constexpr int most = 64;  // columns of A

template <class V> struct Tiles {
    V a[16][most];  // [row][k]
    V b[most][8];   // [k][column]
    V c[16][8];
};

// Shape and scales of an instruction, in its `mode`.
struct Shape {
    int  rows, depth;
    int  scales;   // of a row or column: 0, 2 or 4
    bool is_e4m3;  // of the scales, else powers of two

    explicit Shape(uint32_t mode)
        : rows(mode & 255), depth(mode >> 8 & 255), scales(mode >> 16 & 15), is_e4m3(mode >> 20 & 1) {}
    uint32_t mode() const { return static_cast<uint32_t>(rows | depth << 8 | scales << 16 | is_e4m3 << 20); }
};

template <class A, class B> void load_sides(Warp & warp, const Operand * operand, Shape shape, Tiles<typename A::Value> & tiles) {
    constexpr int width = 4 * A::in_word;
    const int     halves = shape.rows / 8;
    for (int i = 0; i < halves * shape.depth / width; ++i) {
        const uint8_t * words = warp.source(*operand++);
        const int       row = i % halves * 8, k = i / halves * width;
        for (int g = 0; g < 8; ++g) {
            for (int j = 0; j < width; ++j) tiles.a[row + g][k + j] = A::at(words, g * width + j);
        }
    }
    for (int k = 0; k < shape.depth; k += width) {
        const uint8_t * words = warp.source(*operand++);
        for (int g = 0; g < 8; ++g) {
            for (int j = 0; j < width; ++j) tiles.b[k + j][g] = B::at(words, g * width + j);
        }
    }
}

template <class V> void multiply(Tiles<V> & tiles, Shape shape) {
    for (int row = 0; row < shape.rows; ++row) {
        V sums[8];
        std::memcpy(sums, tiles.c[row], sizeof sums);
        for (int k = 0; k < shape.depth; ++k) {
            for (int column = 0; column < 8; ++column) sums[column] += tiles.a[row][k] * tiles.b[k][column];
        }
        std::memcpy(tiles.c[row], sums, sizeof sums);
    }
}

// Words of C or D: an element each, or two halves.
template <class V, class F> void each_word(int rows, F && body) {
    for (int i = 0; i < rows / 4; ++i) {
        for (int lane = 0; lane < 32; ++lane) body(i, lane, lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2);
    }
}

struct AsWord {  // f32 or s32
    template <class V> static void load(Warp & warp, const Operand * operand, int rows, Tiles<V> & tiles) {
        each_word<V>(rows, [&](int i, int lane, int row, int column) { tiles.c[row][column] = read<V>(warp.source(operand[i]), lane); });
    }
    template <class V> static void store(Warp & warp, const Operand * operand, int rows, const Tiles<V> & tiles) {
        each_word<V>(rows, [&](int i, int lane, int row, int column) { write<V>(warp.destination(operand[i]), lane, tiles.c[row][column]); });
    }
    static int words(int rows) { return rows / 4; }
};

struct AsHalves {
    static void load(Warp & warp, const Operand * operand, int rows, Tiles<float> & tiles) {
        for (int row = 0; row < rows; ++row) {
            for (int column = 0; column < 8; ++column) tiles.c[row][column] = F16::at(warp.source(operand[row / 8]), row % 8 * 8 + column);
        }
    }
    static void store(Warp & warp, const Operand * operand, int rows, const Tiles<float> & tiles) {
        for (int row = 0; row < rows; ++row) {
            for (int column = 0; column < 8; ++column) {
                const uint16_t bits = float_to_half(tiles.c[row][column]);
                std::memcpy(warp.destination(operand[row / 8]) + (row % 8 * 8 + column) * 2, &bits, 2);
            }
        }
    }
    static int words(int rows) { return rows / 8; }
};

// Operands: D, A, B, C, as the instruction has them.
template <class A, class B, class Result> void product(Warp & warp, const Instruction & instruction, uint32_t) {
    const Shape               shape(instruction.mode);
    const Operand *           operands = instruction.operands.data();
    const int                 words    = Result::words(shape.rows);
    Tiles<typename A::Value>  tiles;
    load_sides<A, B>(warp, operands + words, shape, tiles);
    Result::load(warp, operands + instruction.count, shape.rows, tiles);
    multiply(tiles, shape);
    Result::store(warp, operands, shape.rows, tiles);
}

// --- products with a scale factor for each 32 or 16 elements of a row of A, of a column of B

static float scale_of(Shape shape, uint32_t word, uint32_t byte) {
    const uint32_t bits = word >> 8 * byte & 255;
    return shape.is_e4m3 ? ue4m3_to_float(bits) : ue8m0_to_float(bits);
}

// Operands: D, A, B, C, then scales of A, byte, thread, scales of B, byte, thread. Of four lanes, two have the
// scales of rows g and g + 8, the first or the second two by `thread`; one has those of column g.
static void scaled_product(Warp & warp, const Instruction & instruction, uint32_t) {
    const Shape     shape(instruction.mode);
    const Operand * operands = instruction.operands.data();
    const Operand * scales   = operands + instruction.count + AsWord::words(shape.rows);
    const auto      first    = [&](int i) { return read<uint32_t>(warp.source(scales[i]), 0); };
    Tiles<float>    tiles;
    load_sides<E2m1, E2m1>(warp, operands + AsWord::words(shape.rows), shape, tiles);
    AsWord::load(warp, operands + instruction.count, shape.rows, tiles);
    const int length = shape.depth / shape.scales;
    for (int row = 0; row < 16; ++row) {
        const int  lane = row % 8 * 4 + static_cast<int>(first(2)) * 2 + row / 8;
        const auto word = read<uint32_t>(warp.source(scales[0]), lane);
        for (int k = 0; k < shape.depth; ++k) tiles.a[row][k] *= scale_of(shape, word, first(1) + static_cast<uint32_t>(k / length));
    }
    for (int column = 0; column < 8; ++column) {
        const int  lane = column * 4 + static_cast<int>(first(5));
        const auto word = read<uint32_t>(warp.source(scales[3]), lane);
        for (int k = 0; k < shape.depth; ++k) tiles.b[k][column] *= scale_of(shape, word, first(4) + static_cast<uint32_t>(k / length));
    }
    multiply(tiles, shape);
    AsWord::store(warp, operands, shape.rows, tiles);
}

// --- the instruction

struct Variant {
    const char * types;  // D.A.B.C
    Execute      execute;
    int          in_word;
    bool         halves;  // C and D
};

static const Variant * variant_of(const std::string & types) {
    static const Variant variants[] = {
        {"s32.s8.s8.s32", product<S8, S8, AsWord>, 4, false},     {"s32.u8.u8.s32", product<U8, U8, AsWord>, 4, false},
        {"s32.s8.u8.s32", product<S8, U8, AsWord>, 4, false},     {"s32.u8.s8.s32", product<U8, S8, AsWord>, 4, false},
        {"f32.f16.f16.f32", product<F16, F16, AsWord>, 2, false}, {"f16.f16.f16.f16", product<F16, F16, AsHalves>, 2, true},
        {"f32.bf16.bf16.f32", product<Bf16, Bf16, AsWord>, 2, false},
        {"f32.tf32.tf32.f32", product<Tf32, Tf32, AsWord>, 1, false},
        {"f32.e4m3.e4m3.f32", product<E4m3, E4m3, AsWord>, 4, false},
        {"f32.e5m2.e5m2.f32", product<E5m2, E5m2, AsWord>, 4, false},
        {"f32.e4m3.e5m2.f32", product<E4m3, E5m2, AsWord>, 4, false},
        {"f32.e5m2.e4m3.f32", product<E5m2, E4m3, AsWord>, 4, false},
        {"f32.e2m1.e2m1.f32.ue8m0", scaled_product, 8, false},    {"f32.e2m1.e2m1.f32.ue4m3", scaled_product, 8, false},
    };
    for (const auto & variant : variants) {
        if (types == variant.types) return &variant;
    }
    return nullptr;
}

// The shapes whose fragments are as described above; not m8n8k4, which is Volta's.
static bool is_known(const Shape & shape, const Variant & variant) {
    const int width = 4 * variant.in_word;
    if (shape.rows == 8) return shape.depth == width && variant.in_word == 4;
    return shape.rows == 16 && (shape.depth == width || shape.depth == 2 * width);
}

static void append(std::vector<Operand> & to, const std::vector<Operand> & from) { to.insert(to.end(), from.begin(), from.end()); }

static bool take_scales(Decoder & decoder, const Statement & from, Instruction & into, Shape & shape) {
    shape.scales  = from.has("scale_vec::4X") ? 4 : from.has("scale_vec::2X") ? 2 : 0;
    shape.is_e4m3 = from.parts.back() == "ue4m3";
    if (from.operands.size() != 8 || shape.scales == 0) return false;
    for (size_t i = 4; i < 8; ++i) append(into.operands, decoder.sources(from.operands[i], false));
    return true;
}

static bool build_mma(Decoder & decoder, const Statement & from, Instruction & into) {
    std::string types;
    Shape       shape(0);
    int         columns = 0;
    for (size_t i = 1; i < from.parts.size(); ++i) {
        const std::string & part = from.parts[i];
        if (std::sscanf(part.c_str(), "m%dn%dk%d", &shape.rows, &columns, &shape.depth) == 3) continue;
        // What follows the layouts.
        if (!types.empty() || (i >= 2 && from.parts[i - 1] == "col")) types += (types.empty() ? "" : ".") + part;
    }
    const Variant * variant = variant_of(types);
    const bool      scaled  = variant && variant->execute == scaled_product;
    if (!variant || columns != 8 || from.has("satfinite") || scaled != from.has("block_scale") || !is_known(shape, *variant)) return false;
    into.operands = decoder.destinations(from.operands[0]);
    for (size_t i = 1; i < 4; ++i) {
        if (i == 3) into.count = static_cast<uint8_t>(into.operands.size());
        append(into.operands, decoder.sources(from.operands[i], false));
    }
    const int sides = (shape.rows / 8 + 1) * shape.depth / (4 * variant->in_word);
    const int words = variant->halves ? AsHalves::words(shape.rows) : AsWord::words(shape.rows);
    if (static_cast<int>(into.operands.size()) != 2 * words + sides) return false;
    if (scaled && !take_scales(decoder, from, into, shape)) return false;
    into.mode    = shape.mode();
    into.control = Control::converge;
    into.execute = variant->execute;
    return true;
}

void add_mma(Builders & builders) { builders["mma"] = build_mma; }

}  // namespace emulator
