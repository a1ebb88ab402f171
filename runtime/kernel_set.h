// The kernel set: what a model asks of a GPU module. Derived by asking the engine, which builds
// the model's graphs without its weights; there is no table of models or architectures here.
//
// It covers the graphs of ordinary serving: prompts and generation, one and several sequences,
// flash attention on and off, embeddings with the model's own pooling. Not in it are graphs that
// the engine builds only while it runs: the shift of a full context, the encoder half of an
// encoder-decoder model, LoRA adapters, projectors, sampling on a device. An op that a module
// lacks runs on the CPU, so that what is missing here costs speed and not correctness.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "ggml.h"

struct llama_model;

namespace ingot {

// Names of tensor types are the engine's in lower case ("q4_k"), those of ops the engine's own,
// with the kind of a unary or gated op in brackets ("UNARY(SILU)", "GLU(SWIGLU)").
using TypePair = std::pair<std::string, std::string>;

std::string type_name(ggml_type type);
ggml_type   type_named(const std::string & name);  // GGML_TYPE_COUNT when there is none

// How many weight tensors have a type, and their bytes.
struct WeightShare {
    uint64_t count = 0;
    uint64_t bytes = 0;
};

struct KernelSet {
    // Ops that compute or copy something; views and reshapes need no kernel.
    std::set<std::string> ops;
    // MUL_MAT, MUL_MAT_ID, GET_ROWS -> the types of what is multiplied or looked up. Without flash
    // attention that includes the KV cache.
    std::map<std::string, std::set<std::string>> source_types;
    // CPY, CONT, DUP, SET_ROWS -> (from, to).
    std::map<std::string, std::set<TypePair>> copies;
    // Flash attention: (K, V), and (elements of a K head, of a V head, query heads per KV head).
    std::set<TypePair>               kv_types;
    std::set<std::array<int64_t, 3>> attention;
    std::map<std::string, WeightShare> weights;
};

bool operator==(const WeightShare & a, const WeightShare & b);
bool operator==(const KernelSet & a, const KernelSet & b);

// The manifest's `model.kernels` object (docs/reference/format.md); sorted, so that equal sets
// give equal text.
nlohmann::json to_json(const KernelSet & set);
// Throws Failure(EXIT_INTEGRITY) when a member is missing or has another type.
KernelSet kernel_set_from_json(const nlohmann::json & document);

// Types of the KV cache.
struct CacheTypes {
    ggml_type k = GGML_TYPE_F16;
    ggml_type v = GGML_TYPE_F16;
};

// What the engine says while it works: shown or dropped, but its first complaint is kept.
struct EngineLog {
    bool        verbose;
    std::string complaint;
};

// The engine's log callback; `data` is an EngineLog.
void hear(ggml_log_level level, const char * text, void * data);

// Asks the engine about the model `name` (seams.h), with the caches that `caches` lists; at least
// one. Reads no weights. The engine's log goes to stderr if `verbose`, else nowhere. `also` is called
// with the loaded model.
// Throws Failure(EXIT_INPUT) when it cannot make this model's graphs. To be called in a program
// that does nothing else with the engine: should the engine abort, the program ends.
KernelSet kernel_set_of(const std::string & name, const std::vector<CacheTypes> & caches, bool verbose,
                        const std::function<void(llama_model &, EngineLog &)> & also = {});

}  // namespace ingot
