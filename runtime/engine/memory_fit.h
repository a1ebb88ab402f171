// The context that memory can hold. The engine's default is the whole context that the model was made for, and its
// own fitting looks at GPUs: on a small machine, or in a container, the kernel would end the process without a word.
#pragma once

#include <cstdint>
#include <functional>

#include "../limits/limits.h"

namespace ingot {

// Bytes that a model needs of this machine's memory with some context, beside the pages of its file, which the
// system can take back and read again.
struct Need {
    uint64_t held   = 0;  // KV cache, compute buffers, weights that are not mapped
    uint64_t mapped = 0;  // weights in the mapped file
};

// The largest context in steps of `step` tokens, below `whole`, for which there is room while enough stays for the
// mapped weights to run at speed; `step` when there is none. `need` measures. Pure but for that.
uint32_t context_that_fits(uint32_t whole, uint32_t step, const limits::Memory & memory, const std::function<Need(uint32_t)> & need);

// Bytes without which no start succeeds.
uint64_t least(const Need & need);

// True when even without cached pages of the weights the system would have to end this process.
bool cannot_fit(const Need & need, const limits::Memory & memory);

// True when there is room, with some for the weights.
bool fits(const Need & need, const limits::Memory & memory);

}  // namespace ingot
