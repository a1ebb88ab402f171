#include "halves.h"

#include "../machine/warp.h"
#include "floats.h"

namespace emulator {

// Computed as float; a sum or product of halves is exact there or rounds the same way, a fused one in double.
using Function = float (*)(float, float, float);

static float add(float a, float b, float) { return a + b; }
static float subtract(float a, float b, float) { return a - b; }
static float multiply(float a, float b, float) { return a * b; }
static float fused(float a, float b, float c) { return static_cast<float>(static_cast<double>(a) * b + c); }
static float minimum(float a, float b, float) { return std::fmin(a, b); }
static float maximum(float a, float b, float) { return std::fmax(a, b); }
static float negate(float a, float, float) { return -a; }
static float absolute(float a, float, float) { return std::fabs(a); }
static float power_of_two(float a, float, float) { return std::exp2(a); }
static float tangent(float a, float, float) { return std::tanh(a); }

template <Function F, bool Bfloat> void each_half(Warp & warp, const Instruction & instruction, uint32_t lanes) {
    const uint8_t * from[3] = {};
    const size_t    sources = instruction.operands.size() - 1;
    for (size_t i = 0; i < sources; ++i) from[i] = warp.source(instruction.operands[i + 1]);
    uint8_t * to = warp.destination(instruction.operands[0]);
    for_lanes(lanes, [&](int lane) {
        uint32_t words[3] = {}, result = 0;
        for (size_t i = 0; i < sources; ++i) words[i] = read<uint32_t>(from[i], lane);
        for (int half = 0; half < instruction.count; ++half) {
            float values[3];
            for (int i = 0; i < 3; ++i) {
                const auto bits = static_cast<uint16_t>(words[i] >> 16 * half);
                values[i]       = Bfloat ? bfloat_to_float(bits) : half_to_float(bits);
            }
            const float value = F(values[0], values[1], values[2]);
            const auto  bits  = static_cast<uint32_t>(Bfloat ? float_to_bfloat(value) : float_to_half(value));
            result |= bits << 16 * half;
        }
        write<uint32_t>(to, lane, result);
    });
}

struct Entry {
    const char * opcode;
    size_t       sources;
    Execute      half, bfloat;
};

bool build_halves(Decoder & decoder, const Statement & from, Instruction & into) {
    static const Entry entries[] = {
        {"add", 2, each_half<add, false>, each_half<add, true>},
        {"sub", 2, each_half<subtract, false>, each_half<subtract, true>},
        {"mul", 2, each_half<multiply, false>, each_half<multiply, true>},
        {"fma", 3, each_half<fused, false>, each_half<fused, true>},
        {"min", 2, each_half<minimum, false>, each_half<minimum, true>},
        {"max", 2, each_half<maximum, false>, each_half<maximum, true>},
        {"neg", 1, each_half<negate, false>, each_half<negate, true>},
        {"abs", 1, each_half<absolute, false>, each_half<absolute, true>},
        {"ex2", 1, each_half<power_of_two, false>, each_half<power_of_two, true>},
        {"tanh", 1, each_half<tangent, false>, each_half<tangent, true>},
    };
    const std::string type   = from.type().name;
    const bool        bfloat = type.rfind("bf16", 0) == 0;
    if (!bfloat && type.rfind("f16", 0) != 0) return false;
    if (from.has("sat") || from.has("relu") || from.has("NaN")) return false;
    for (const auto & entry : entries) {
        if (from.opcode() != entry.opcode || from.operands.size() != entry.sources + 1) continue;
        into.operands.push_back(decoder.destination(from.operands[0]));
        for (size_t i = 0; i < entry.sources; ++i) into.operands.push_back(decoder.source(from.operands[i + 1], false));
        into.execute = bfloat ? entry.bfloat : entry.half;
        into.count   = type.back() == '2' ? 2 : 1;
        return true;
    }
    return false;
}

}  // namespace emulator
