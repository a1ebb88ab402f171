// wmma: the same products with fragments whose layout programs do not know. Here, element e of a matrix, counted row
// by row, is in lane e % 32, one or two elements to a register.
#include <cstdio>

#include "addresses.h"
#include "floats.h"

namespace emulator {

enum class Element : uint32_t { f16, bf16, f32 };

static uint32_t bytes_of(Element element) { return element == Element::f32 ? 4 : 2; }

// A fragment's matrix, in the `mode` of loads and stores.
struct Fragment {
    int     rows, columns;
    bool    by_columns;  // in memory
    Element element;

    explicit Fragment(uint32_t mode)
        : rows(mode & 255), columns(mode >> 8 & 255), by_columns(mode >> 16 & 1), element(static_cast<Element>(mode >> 17 & 3)) {}
    uint32_t mode() const {
        return static_cast<uint32_t>(rows | columns << 8 | by_columns << 16) | static_cast<uint32_t>(element) << 17;
    }
};

// The bits of each element, from the registers and into them.
class Registers {
public:
    Registers(Warp & warp, const Operand * operands, size_t count, int elements)
        : warp_(warp), operands_(operands), elements_(elements), in_word_(elements / 32 <= static_cast<int>(count) ? 1 : 2) {}

    uint32_t get(int e, bool whole) const {
        const int slot = e / 32, shift = whole ? 0 : slot % in_word_ * 16;
        const auto word = read<uint32_t>(warp_.source(operands_[slot / in_word_]), e % 32);
        return whole ? word : word >> shift & 0xffff;
    }

    void put(int e, bool whole, uint32_t bits) {
        const int slot = e / 32, half = slot % in_word_;
        uint8_t * to   = warp_.destination(operands_[slot / in_word_]);
        const uint32_t before = !whole && half ? read<uint32_t>(to, e % 32) & 0xffff : 0;
        write<uint32_t>(to, e % 32, before | bits << 16 * half);
    }

    void read_all(Element element, float * values) const {
        for (int e = 0; e < elements_; ++e) {
            const uint32_t bits = get(e, element == Element::f32);
            if (element == Element::f32) values[e] = bits_as<float>(bits);
            else if (element == Element::f16) values[e] = half_to_float(static_cast<uint16_t>(bits));
            else values[e] = bfloat_to_float(static_cast<uint16_t>(bits));
        }
    }

    void write_all(Element element, const float * values) {
        for (int e = 0; e < elements_; ++e) {
            put(e, element == Element::f32, element == Element::f32 ? bits_as<uint32_t>(values[e]) : float_to_half(values[e]));
        }
    }

private:
    Warp &          warp_;
    const Operand * operands_;
    int             elements_, in_word_;
};

// Operands of loads and stores: address, stride, registers. A line is what is side by side in memory.
template <class F> void each_line(Warp & warp, const Instruction & instruction, Access kind, F && body) {
    const Fragment fragment(instruction.mode);
    const uint32_t size    = bytes_of(fragment.element);
    const uint64_t address = address_of(warp, instruction, 0);
    const auto     stride  = read<uint32_t>(warp.source(instruction.operands[1]), 0);
    const int      lines = fragment.by_columns ? fragment.columns : fragment.rows, length = fragment.by_columns ? fragment.rows : fragment.columns;
    check_alignment(warp, instruction, 0, address, 32, 32);
    if (stride * size % 16) fail(warp, instruction, 0, "a stride that is not a multiple of 16 bytes");
    for (int line = 0; line < lines; ++line) {
        uint8_t * data = checked_bytes(warp, instruction, line, address + uint64_t{size} * stride * static_cast<uint32_t>(line),
                                       size * static_cast<uint32_t>(length), size, kind);
        for (int at = 0; at < length; ++at) {
            const int e = fragment.by_columns ? at * fragment.columns + line : line * fragment.columns + at;
            body(e, data + static_cast<uint32_t>(at) * size, size);
        }
    }
}

static Registers registers_of(Warp & warp, const Instruction & instruction) {
    const Fragment fragment(instruction.mode);
    return {warp, instruction.operands.data() + 2, instruction.operands.size() - 2, fragment.rows * fragment.columns};
}

static void load_fragment(Warp & warp, const Instruction & instruction, uint32_t) {
    Registers registers = registers_of(warp, instruction);
    uint32_t  bits[512];
    each_line(warp, instruction, Access::read, [&](int e, const uint8_t * data, uint32_t size) {
        bits[e] = 0;
        std::memcpy(&bits[e], data, size);
    });
    const Fragment fragment(instruction.mode);
    for (int e = 0; e < fragment.rows * fragment.columns; ++e) registers.put(e, fragment.element == Element::f32, bits[e]);
}

static void store_fragment(Warp & warp, const Instruction & instruction, uint32_t) {
    const Registers registers = registers_of(warp, instruction);
    each_line(warp, instruction, Access::write, [&](int e, uint8_t * data, uint32_t size) {
        const uint32_t bits = registers.get(e, size == 4);
        std::memcpy(data, &bits, size);
    });
}

// Of a product, in its `mode`.
struct Product {
    int     rows, columns, words_d, words_a, words_b;
    Element sides, result, before;  // A and B, D, C

    explicit Product(uint32_t mode)
        : rows(mode & 63), columns(mode >> 6 & 63), words_d(mode >> 12 & 15), words_a(mode >> 16 & 15), words_b(mode >> 20 & 15),
          sides(static_cast<Element>(mode >> 24 & 3)), result(static_cast<Element>(mode >> 26 & 3)),
          before(static_cast<Element>(mode >> 28 & 3)) {}
    uint32_t mode() const {
        return static_cast<uint32_t>(rows | columns << 6 | words_d << 12 | words_a << 16 | words_b << 20) |
               static_cast<uint32_t>(sides) << 24 | static_cast<uint32_t>(result) << 26 | static_cast<uint32_t>(before) << 28;
    }
};

constexpr int depth = 16;

static void multiply(Warp & warp, const Instruction & instruction, uint32_t) {
    const Product   product(instruction.mode);
    const Operand * operand = instruction.operands.data();
    const int       m = product.rows, n = product.columns;
    float           a[512], b[512], c[256];
    const auto      registers = [&](int words, int elements) {
        Registers made(warp, operand, static_cast<size_t>(words), elements);
        operand += words;
        return made;
    };
    Registers to = registers(product.words_d, m * n);
    registers(product.words_a, m * depth).read_all(product.sides, a);
    registers(product.words_b, depth * n).read_all(product.sides, b);
    Registers(warp, operand, instruction.operands.size() - static_cast<size_t>(operand - instruction.operands.data()), m * n)
        .read_all(product.before, c);
    for (int row = 0; row < m; ++row) {
        for (int k = 0; k < depth; ++k) {
            for (int column = 0; column < n; ++column) c[row * n + column] += a[row * depth + k] * b[k * n + column];
        }
    }
    to.write_all(product.result, c);
}

// --- the instructions

struct Dimensions {
    int m = 0, n = 0, k = 0;

    bool read(const Statement & from) {
        for (const auto & part : from.parts) {
            if (std::sscanf(part.c_str(), "m%dn%dk%d", &m, &n, &k) != 3) continue;
            return k == depth && ((m == 16 && n == 16) || (m == 32 && n == 8) || (m == 8 && n == 32));
        }
        return false;
    }
};

static bool element_of(const std::string & name, Element & element) {
    if (name != "f16" && name != "bf16" && name != "f32") return false;
    element = name == "f16" ? Element::f16 : name == "bf16" ? Element::bf16 : Element::f32;
    return true;
}

static bool build_transfer(Decoder & decoder, const Statement & from, Instruction & into) {
    Dimensions dimensions;
    Fragment   fragment(0);
    const bool loads = from.parts[1] == "load";
    if (!dimensions.read(from) || !element_of(from.type().name, fragment.element) || from.operands.size() != 3) return false;
    const std::string & matrix = from.parts[2];
    fragment.rows       = matrix == "b" ? dimensions.k : dimensions.m;
    fragment.columns    = matrix == "a" ? dimensions.k : dimensions.n;
    fragment.by_columns = from.has("col");
    take_address(decoder, from, into, from.operands[loads ? 1 : 0]);
    into.operands.push_back(decoder.source(from.operands[2], false));
    const std::string & registers = from.operands[loads ? 0 : 1];
    for (const auto & each : loads ? decoder.destinations(registers) : decoder.sources(registers, false)) into.operands.push_back(each);
    into.mode    = fragment.mode();
    into.execute = loads ? load_fragment : store_fragment;
    return true;
}

static bool build_product(Decoder & decoder, const Statement & from, Instruction & into) {
    Dimensions dimensions;
    Product    product(0);
    if (!dimensions.read(from) || from.operands.size() != 4 || from.has("satfinite")) return false;
    // "f32.f32" of halves names D and C; "f32.bf16.bf16.f32" all four.
    const size_t last = from.parts.size();
    product.sides     = from.has("bf16") ? Element::bf16 : Element::f16;
    const size_t d    = product.sides == Element::bf16 ? last - 4 : last - 2;
    if (!element_of(from.parts[d], product.result) || !element_of(from.parts[last - 1], product.before)) return false;
    into.operands   = decoder.destinations(from.operands[0]);
    product.rows    = dimensions.m;
    product.columns = dimensions.n;
    product.words_d = static_cast<int>(into.operands.size());
    int * const words[] = {&product.words_a, &product.words_b};
    for (size_t i = 1; i < 4; ++i) {
        const auto side = decoder.sources(from.operands[i], false);
        if (i < 3) *words[i - 1] = static_cast<int>(side.size());
        into.operands.insert(into.operands.end(), side.begin(), side.end());
    }
    into.mode    = product.mode();
    into.execute = multiply;
    return true;
}

static bool build_wmma(Decoder & decoder, const Statement & from, Instruction & into) {
    into.control = Control::converge;
    return from.parts[1] == "mma" ? build_product(decoder, from, into) : build_transfer(decoder, from, into);
}

void add_wmma(Builders & builders) { builders["wmma"] = build_wmma; }

}  // namespace emulator
