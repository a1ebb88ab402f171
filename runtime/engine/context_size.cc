// Pure: which context fits (memory_fit.h).
#include <algorithm>

#include "memory_fit.h"

namespace ingot {

// The vocabulary, samplers, threads and whatever else a start allocates; measured at 20 to 35 MB.
static constexpr uint64_t OTHER = 40 << 20;
static constexpr uint64_t OTHER_AT_LEAST = 20 << 20;

static uint64_t plus(uint64_t a, uint64_t b) { return a + std::min(b, UINT64_MAX - a); }

uint64_t least(const Need & need) { return plus(need.held, OTHER_AT_LEAST); }

bool cannot_fit(const Need & need, const limits::Memory & memory) { return least(need) > plus(memory.room, memory.swap); }

bool fits(const Need & need, const limits::Memory & memory) {
    const uint64_t room = memory.room - std::min(memory.room, OTHER);
    return need.held <= room - std::min(need.mapped, room / 2);
}

uint32_t context_that_fits(uint32_t whole, uint32_t step, const limits::Memory & memory, const std::function<Need(uint32_t)> & need) {
    uint32_t low = 1, high = std::max(2u, whole / step);  // in steps: `high` does not fit
    while (high - low > std::max(1u, high / 16)) {        // within a sixteenth: each measurement costs some 10 ms
        const uint32_t middle = low + (high - low) / 2;
        (fits(need(middle * step), memory) ? low : high) = middle;
    }
    return low * step;
}

}  // namespace ingot
