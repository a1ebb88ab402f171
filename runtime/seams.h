// What the engine reaches through the renamed calls in native/seams.cmake, apart from
// backends (modules.h). A model's name is "bundle:main", "bundle:draft", "bundle:loraN"
// for an entry of this executable; any other string is a path, as before.
#pragma once

#include <cstdarg>
#include <string>

#include "gguf.h"
#include "llama.h"
#include "log.h"

namespace ingot {
constexpr const char * MAIN_MODEL  = "bundle:main";
constexpr const char * DRAFT_MODEL = "bundle:draft";
// LoRA adapter number `index`, from 0.
inline std::string lora_name(size_t index) { return "bundle:lora" + std::to_string(index); }
// What printf would print.
std::string formatted(const char * format, va_list args);
}  // namespace ingot

extern "C" {
llama_model *        ingot_open_model(const char * name, llama_model_params params);
llama_adapter_lora * ingot_open_lora(llama_model * model, const char * name);
gguf_context *       ingot_gguf_open(const char * name, gguf_init_params params);
// The projector is named by the executable's own path, since the engine opens that path
// again to read tensors at offsets that count from the start of the file.
gguf_context *       ingot_projector_open(const char * name, gguf_init_params params);
}

// Completion's log: generated text alone reaches stdout, so that pipes work.
void ingot_completion_log(common_log * log, ggml_log_level level, const char * format, ...);
// Perplexity's: it logs its results and its progress as information.
void ingot_perplexity_log(common_log * log, ggml_log_level level, const char * format, ...);

extern "C" {
// llama_init_from_model in the engine's common parts: with pooling, its graph for the largest micro-batch fails an
// assertion unless that is a multiple of the number of sequences (-np 3, -ub 255, -c 257 of a server).
llama_context * ingot_make_context(llama_model * model, llama_context_params params);
// In the engine's option parser: true, so that it does not advise to rebuild it for a GPU (args.cc has our note).
bool ingot_gpu_offload(void);
// There too: no remote backends. Asking the registry would choose the CPU module before its time.
bool ingot_rpc(void);
// llama_vocab_get_add_eos in completion and perplexity, which assert that it is false: throws Failure instead.
bool ingot_ends_texts(const llama_vocab * vocab);
}
