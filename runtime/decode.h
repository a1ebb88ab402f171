// Tokens of one sequence through a context, by the part of the engine's API that every pinned
// version has: its newer batches are not in all of them.
#pragma once

#include <vector>

#include "llama.h"

namespace ingot {

// Computes `tokens`, the first at position `start`; those from index `from` on are outputs. Returns
// what llama_decode does: 0 is done.
inline int decode(llama_context * context, const std::vector<llama_token> & tokens, llama_pos start, size_t from) {
    llama_batch batch = llama_batch_init((int32_t) tokens.size(), 0, 1);
    for (size_t i = 0; i < tokens.size(); ++i) {
        batch.token[i]     = tokens[i];
        batch.pos[i]       = start + (llama_pos) i;
        batch.n_seq_id[i]  = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i]    = i >= from;
    }
    batch.n_tokens = (int32_t) tokens.size();
    const int failed = llama_decode(context, batch);
    llama_batch_free(batch);
    return failed;
}

}  // namespace ingot
