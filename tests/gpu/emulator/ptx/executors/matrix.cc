// ldmatrix, stmatrix and movmatrix: matrices of 8 x 8 halves. Lane 4 r + c / 2 has the elements c and c + 1 of row r.
#include "addresses.h"
#include "elementwise.h"

namespace emulator {

struct Matrix {
    uint16_t at[8][8];

    uint32_t part(int lane, bool transposed) const {
        const int row = lane / 4, column = lane % 4 * 2;
        if (transposed) return at[column][row] | uint32_t{at[column + 1][row]} << 16;
        return at[row][column] | uint32_t{at[row][column + 1]} << 16;
    }

    void put(int lane, bool transposed, uint32_t bits) {
        const int row = lane / 4, column = lane % 4 * 2;
        (transposed ? at[column][row] : at[row][column])             = static_cast<uint16_t>(bits);
        (transposed ? at[column + 1][row] : at[row][column + 1]) = static_cast<uint16_t>(bits >> 16);
    }
};

constexpr uint32_t row_bytes = 16;

// Lanes 0 to 7 have the addresses of the first matrix's rows, 8 to 15 of the second one's.
static void load_matrices(Warp & warp, const Instruction & instruction, uint32_t) {
    Matrix matrices[4];
    for (int lane = 0; lane < instruction.count * 8; ++lane) {
        const uint64_t address = address_of(warp, instruction, lane);
        std::memcpy(matrices[lane / 8].at[lane % 8], checked_bytes(warp, instruction, lane, address, row_bytes, row_bytes, Access::read), row_bytes);
    }
    for (int i = 0; i < instruction.count; ++i) {
        uint8_t * to = warp.destination(instruction.operands[static_cast<size_t>(i) + 1]);
        for (int lane = 0; lane < 32; ++lane) write<uint32_t>(to, lane, matrices[i].part(lane, instruction.mode));
    }
}

static void store_matrices(Warp & warp, const Instruction & instruction, uint32_t) {
    Matrix matrices[4];
    for (int i = 0; i < instruction.count; ++i) {
        const uint8_t * from = warp.source(instruction.operands[static_cast<size_t>(i) + 1]);
        for (int lane = 0; lane < 32; ++lane) matrices[i].put(lane, instruction.mode, read<uint32_t>(from, lane));
    }
    for (int lane = 0; lane < instruction.count * 8; ++lane) {
        const uint64_t address = address_of(warp, instruction, lane);
        std::memcpy(checked_bytes(warp, instruction, lane, address, row_bytes, row_bytes, Access::write), matrices[lane / 8].at[lane % 8], row_bytes);
    }
}

static void transpose(Warp & warp, const Instruction & instruction, uint32_t) {
    Matrix          matrix;
    const uint8_t * from = warp.source(instruction.operands[1]);
    uint8_t *       to   = warp.destination(instruction.operands[0]);
    for (int lane = 0; lane < 32; ++lane) matrix.put(lane, false, read<uint32_t>(from, lane));
    for (int lane = 0; lane < 32; ++lane) write<uint32_t>(to, lane, matrix.part(lane, true));
}

static bool build(Decoder & decoder, const Statement & from, Instruction & into, bool loads) {
    const std::string & address   = from.operands[loads ? 1 : 0];
    const std::string & registers = from.operands[loads ? 0 : 1];
    if (!from.has("m8n8") || from.type().name != "b16") return false;
    take_address(decoder, from, into, address);
    const auto values = loads ? decoder.destinations(registers) : decoder.sources(registers, false);
    into.operands.insert(into.operands.end(), values.begin(), values.end());
    into.count   = static_cast<uint8_t>(values.size());
    into.mode    = from.has("trans");
    into.control = Control::converge;
    into.execute = loads ? load_matrices : store_matrices;
    return into.count == (from.has("x4") ? 4 : from.has("x2") ? 2 : 1);
}

static bool build_load(Decoder & decoder, const Statement & from, Instruction & into) { return build(decoder, from, into, true); }
static bool build_store(Decoder & decoder, const Statement & from, Instruction & into) { return build(decoder, from, into, false); }

static bool build_transpose(Decoder & decoder, const Statement & from, Instruction & into) {
    if (!from.has("m8n8") || !from.has("trans")) return false;
    take_operands(decoder, from, into, false);
    into.control = Control::converge;
    into.execute = transpose;
    return true;
}

void add_matrix(Builders & builders) {
    builders["ldmatrix"] = build_load, builders["stmatrix"] = build_store, builders["movmatrix"] = build_transpose;
}

}  // namespace emulator
