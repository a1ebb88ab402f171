#include "memory_fit.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>

#include "../error.h"
#include "../seams.h"
// The engine's measuring (common/fit.cpp) and what it is made of.
#include "../src/llama-ext.h"
#include "fit.h"

namespace ingot {

static std::optional<Need> measured;  // of the context that the engine measured last
static bool weights_mapped = true;

// Buffers for the logits of a whole micro-batch are reserved, and used for the last token of each prompt only: their
// pages stay untouched.
static uint64_t untouched(const llama_context * context) {
    const llama_vocab * vocab = llama_model_get_vocab(llama_get_model(context));
    return (uint64_t) llama_n_ubatch(context) * (uint64_t) llama_vocab_n_tokens(vocab) * sizeof(float);
}

static Need need_of(const llama_memory_breakdown & parts, uint64_t logits) {
    Need need;
    for (const auto & [type, part] : parts) {
        ggml_backend_dev_t device = ggml_backend_buft_get_device(type);
        const bool here = ggml_backend_buft_is_host(type) || !device || ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU;
        if (!here) continue;
        need.held += part.context + std::max(part.compute / 4, part.compute - std::min<uint64_t>(part.compute, logits));
        // Weights that are rearranged for this CPU are copies in a buffer type of their own.
        (weights_mapped && ggml_backend_buft_is_host(type) ? need.mapped : need.held) += part.model;
    }
    return need;
}

static std::string megabytes(uint64_t bytes) { return std::to_string((bytes + 999999) / 1000000) + " MB"; }

// One model with the settings that the engine is about to load it with.
struct Loading {
    const char *           path;
    llama_model_params *   model;
    llama_context_params * context;
    const common_fit_extra_model * extra;

    Need measure(uint32_t tokens) const {
        Need need = measure(path, model, context, tokens);
        if (!extra) return need;
        const Need more = measure(extra->path_model, extra->mparams, extra->cparams, tokens);
        return {need.held + more.held, need.mapped + (extra->shares_model ? 0 : more.mapped)};
    }

  private:
    static Need measure(const char * path, llama_model_params * model, llama_context_params * context, uint32_t tokens) {
        llama_context_params params = *context;
        params.n_ctx = tokens;
        std::vector<ggml_backend_dev_t> devices;
        uint32_t layers = 0, trained = 0, experts = 0;
        measured.reset();
        common_get_device_memory_data(path, model, &params, devices, layers, trained, experts, GGML_LOG_LEVEL_NONE);
        return measured.value_or(Need{});
    }
};

[[noreturn]] static void refuse(const Need & need, const limits::Memory & memory, const std::string & what, const std::string & hint) {
    leave(Failure(EXIT_INPUT, what + " needs " + megabytes(least(need)) + " of memory, and " + megabytes(memory.room) + " are left" +
                                  (memory.group ? " in this container or group" : ""), hint));
}

static const char * const NOTHING_FITS = "allow it more memory, or take a smaller model";

// With the engine's default context; `whole` is the model's.
static void shrink(const Loading & loading, uint32_t whole, uint32_t step, const limits::Memory & memory) {
    const auto need = [&](uint32_t tokens) { return loading.measure(tokens); };
    const uint32_t tokens = std::min(whole, context_that_fits(whole, step, memory, need));
    const Need shortest = need(tokens);
    if (cannot_fit(shortest, memory)) {
        refuse(shortest, memory, "this model with a context of only " + std::to_string(tokens) + " tokens", NOTHING_FITS);
    }
    loading.context->n_ctx = tokens;
    std::fprintf(stderr, "note: the context is %u tokens instead of %u, which fits into %s of memory; -c N sets another\n", tokens,
                 whole, megabytes(memory.room).c_str());
}

static void fit_to_memory(const Loading & loading, bool automatic) {
    const limits::Memory memory = limits::memory();
    const uint32_t asked = loading.context->n_ctx;
    const Need need = measured && !loading.extra ? *measured : loading.measure(asked);
    if (automatic ? fits(need, memory) : !cannot_fit(need, memory)) return;
    const uint32_t step = 256 * (loading.context->kv_unified ? 1 : std::max(1u, loading.context->n_seq_max));
    if (automatic) return shrink(loading, asked, step, memory);
    const uint32_t fitting = context_that_fits(asked, step, memory, [&](uint32_t tokens) { return loading.measure(tokens); });
    const bool any = fitting < asked && !cannot_fit(loading.measure(fitting), memory);
    refuse(need, memory, "a context of " + std::to_string(asked) + " tokens", any ? "-c " + std::to_string(fitting) + " fits" : NOTHING_FITS);
}

}  // namespace ingot

// Reached through native/seams.cmake.

llama_memory_breakdown ingot_memory_breakdown(const llama_context * context) {
    auto parts = llama_get_memory_breakdown(context);
    ingot::measured = ingot::need_of(parts, ingot::untouched(context));
    return parts;
}

common_params_fit_status ingot_fit_params(const char * path, llama_model_params * model, llama_context_params * context,
                                          float * split, llama_model_tensor_buft_override * overrides, size_t * margins,
                                          uint32_t least, const common_fit_extra_model * extra, ggml_log_level level) {
    const bool automatic = context->n_ctx == 0;
    ingot::weights_mapped = model->load_mode == LLAMA_LOAD_MODE_AUTO || model->load_mode == LLAMA_LOAD_MODE_MMAP;
    ingot::measured.reset();
    const auto status = common_fit_params(path, model, context, split, overrides, margins, least, extra, level);
    if (status != COMMON_PARAMS_FIT_STATUS_ERROR && context->n_ctx > 0) ingot::fit_to_memory({path, model, context, extra}, automatic);
    return status;
}

llama_context * ingot_make_context(llama_model * model, llama_context_params params) {
    const uint32_t sequences = std::max(1u, params.n_seq_max);
    const uint32_t trained   = (uint32_t) std::max(1, llama_model_n_ctx_train(model));
    if (params.n_ctx > 0) params.n_ctx = (params.n_ctx + 255) / 256 * 256;  // as the engine does, but after its other limits
    const uint32_t most = std::max(sequences, (params.n_ctx > 0 ? params.n_ctx : trained) / sequences * sequences);
    const uint32_t asked = std::min(params.n_batch, params.n_ubatch > 0 ? params.n_ubatch : params.n_batch);
    params.n_ubatch = std::min(most, (asked + sequences - 1) / sequences * sequences);
    params.n_batch  = std::max(params.n_batch, params.n_ubatch);
    return llama_init_from_model(model, params);
}
