#include "kernel_set.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <tuple>

#include "engine/words.h"
#include "error.h"
#include "seams.h"
// What upstream's own tests/test-export-graph-ops.cpp uses: llama_graph_reserve, and the names
// and tensors of a loaded model.
#include "../src/llama-ext.h"
#include "../src/llama-model.h"
#include "llama-cpp.h"

namespace ingot {

using nlohmann::json;

// A context long enough for top-k selections over it (2,048 cells in DeepSeek's indexer) to be
// real, and short enough that the largest mask and score buffers stay below a few 100 MB of
// address space; they are never touched.
static constexpr uint32_t CONTEXT_CELLS = 4096;
// More than two chunks of 64 tokens, the unit of the chunked recurrent ops.
static constexpr uint32_t PROMPT_TOKENS = 160;

bool operator==(const WeightShare & a, const WeightShare & b) { return a.count == b.count && a.bytes == b.bytes; }

bool operator==(const KernelSet & a, const KernelSet & b) {
    const auto members = [](const KernelSet & s) {
        return std::tie(s.ops, s.source_types, s.copies, s.kv_types, s.attention, s.weights);
    };
    return members(a) == members(b);
}

json to_json(const KernelSet & set) {
    json weights = json::object();
    for (const auto & [type, share] : set.weights) weights[type] = {{"count", share.count}, {"bytes", share.bytes}};
    const auto object = [](const auto & map) { return map.empty() ? json::object() : json(map); };
    return {{"ops", set.ops},           {"source_types", object(set.source_types)}, {"copies", object(set.copies)},
            {"kv_types", set.kv_types}, {"attention", set.attention},               {"weights", weights}};
}

KernelSet kernel_set_from_json(const json & document) {
    KernelSet set;
    try {
        document.at("ops").get_to(set.ops);
        document.at("source_types").get_to(set.source_types);
        document.at("copies").get_to(set.copies);
        document.at("kv_types").get_to(set.kv_types);
        document.at("attention").get_to(set.attention);
        for (const auto & [type, share] : document.at("weights").items()) {
            set.weights[type] = {share.at("count").get<uint64_t>(), share.at("bytes").get<uint64_t>()};
        }
    } catch (const json::exception & error) {
        throw Failure(EXIT_INTEGRITY, std::string("the kernel set cannot be read: ") + error.what());
    }
    return set;
}

std::string type_name(ggml_type type) {
    std::string name = ggml_type_name(type);
    for (char & c : name) c = (char) std::tolower((unsigned char) c);
    return name;
}

ggml_type type_named(const std::string & name) {
    int type = 0;
    while (type < GGML_TYPE_COUNT && !(ggml_type_name((ggml_type) type) && type_name((ggml_type) type) == name)) ++type;
    return (ggml_type) type;
}

static std::string op_name(const ggml_tensor & node) {
    const std::string name = ggml_op_name(node.op);
    if (node.op == GGML_OP_UNARY) return name + "(" + ggml_unary_op_name(ggml_get_unary_op(&node)) + ")";
    if (node.op == GGML_OP_GLU) return name + "(" + ggml_glu_op_name(ggml_get_glu_op(&node)) + ")";
    return name;
}

static void add_attention(KernelSet & set, const ggml_tensor & node) {
    const ggml_tensor & q = *node.src[0];
    const ggml_tensor & k = *node.src[1];
    const ggml_tensor & v = *node.src[2];
    set.kv_types.insert({type_name(k.type), type_name(v.type)});
    set.attention.insert({k.ne[0], v.ne[0], q.ne[2] / std::max<int64_t>(1, k.ne[2])});
}

// The engine loads tensors of any type, and the CPU's kernels end the program when they meet one that they do not have.
static void check_types(const ggml_tensor & node) {
    const auto refuse_unless = [](bool known, const ggml_tensor & tensor) {
        if (known) return;
        throw Failure(EXIT_INPUT, std::string("the engine cannot load this model: it cannot compute with the tensor '") + tensor.name +
                                      "' of the type " + type_name(tensor.type), "-v shows the engine's log");
    };
    const auto is_float = [](ggml_type type) { return type == GGML_TYPE_F32 || ggml_get_type_traits(type)->to_float; };
    const ggml_tensor * const a = node.src[0];
    const ggml_tensor * const b = node.src[1];
    switch (node.op) {
        case GGML_OP_MUL_MAT:
        case GGML_OP_MUL_MAT_ID:
            return refuse_unless(is_float(a->type), *a);
        case GGML_OP_GET_ROWS:
            return refuse_unless(is_float(a->type) || a->type == GGML_TYPE_I32, *a);
        case GGML_OP_ADD:
        case GGML_OP_SUB:
        case GGML_OP_MUL:
        case GGML_OP_DIV:
            return refuse_unless(b->type == GGML_TYPE_F32 || (b->type == a->type && !ggml_is_quantized(b->type)), *b);
        default:
            return;
    }
}

static void add_node(KernelSet & set, const ggml_tensor & node) {
    const std::string op = op_name(node);
    check_types(node);
    switch (node.op) {
        case GGML_OP_NONE:
        case GGML_OP_VIEW:
        case GGML_OP_RESHAPE:
        case GGML_OP_PERMUTE:
        case GGML_OP_TRANSPOSE:
            return;
        case GGML_OP_MUL_MAT:
        case GGML_OP_MUL_MAT_ID:
        case GGML_OP_GET_ROWS:
            set.source_types[op].insert(type_name(node.src[0]->type));
            break;
        case GGML_OP_CPY:
        case GGML_OP_CONT:
        case GGML_OP_DUP:
        case GGML_OP_SET_ROWS:
            set.copies[op].insert({type_name(node.src[0]->type), type_name(node.type)});
            break;
        case GGML_OP_FLASH_ATTN_EXT:
            add_attention(set, node);
            break;
        default:
            break;
    }
    set.ops.insert(op);
}

static void add_weights(KernelSet & set, const llama_model & model) {
    std::set<std::string> seen;  // an embedding that is the output matrix too is listed twice
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(&model)) {
        if (!seen.insert(name).second) continue;
        WeightShare & share = set.weights[type_name(tensor->type)];
        share.count += 1;
        share.bytes += ggml_nbytes(tensor);
    }
}

void hear(ggml_log_level level, const char * text, void * data) {
    EngineLog & log = *static_cast<EngineLog *>(data);
    if (log.verbose) std::fputs(text, stderr);
    if (level != GGML_LOG_LEVEL_ERROR || !log.complaint.empty()) return;
    log.complaint = reason_in(text);
}

// A model that the engine accepts and then trips over ends in ggml_abort(), which does not return.
static void end_after_abort(const char * message) {
    leave(Failure(EXIT_INPUT, std::string("the engine cannot load this model: ") + message, "-v shows the engine's log"));
}

static llama_model_ptr load_without_weights(const std::string & name, const EngineLog & log) {
    ggml_backend_dev_t no_device = nullptr;
    llama_model_params params = llama_model_default_params();
    params.devices         = &no_device;  // the graph is the model's, not a device's
    params.n_gpu_layers    = 0;
    params.no_alloc        = true;
    params.load_mode       = LLAMA_LOAD_MODE_NONE;  // no_alloc asks for it (common/fit.cpp)
    params.use_extra_bufts = false;
    llama_model_ptr model(ingot_open_model(name.c_str(), params));
    if (!model) throw Failure(EXIT_INPUT, "the engine cannot load this model: " + log.complaint, "-v shows the engine's log");
    return model;
}

// One way to run the model.
struct Setting {
    CacheTypes            cache;
    llama_flash_attn_type flash_attention;
    uint32_t              sequences;
    bool                  embeddings;
};

// Adds the graphs of one setting; false when the engine does not take it for this model.
static bool add_graphs(KernelSet & set, llama_model & model, const Setting & setting) {
    llama_context_params params = llama_context_default_params();
    const int32_t trained  = llama_model_n_ctx_train(&model);
    params.n_ctx           = trained > 0 ? std::min(CONTEXT_CELLS, (uint32_t) trained) : CONTEXT_CELLS;
    params.n_batch         = PROMPT_TOKENS;
    params.n_ubatch        = PROMPT_TOKENS;
    params.n_seq_max       = setting.sequences;
    params.kv_unified      = true;  // as the server has it, unless it is told otherwise
    params.n_threads       = 1;
    params.n_threads_batch = 1;
    params.type_k          = setting.cache.k;
    params.type_v          = setting.cache.v;
    params.flash_attn_type = setting.flash_attention;
    params.embeddings      = setting.embeddings;
    const llama_context_ptr context(llama_init_from_model(&model, params));
    if (!context) return false;

    // Reserved for as many sequences as the context has, as upstream does: with fewer, DeepSeek 4's
    // graph fails an assertion.
    const uint32_t prompt = std::min(llama_n_ctx(context.get()), llama_n_ubatch(context.get()));
    for (const uint32_t tokens : {prompt, setting.sequences}) {
        ggml_cgraph * graph = llama_graph_reserve(context.get(), tokens, setting.sequences, tokens);
        if (!graph) return false;
        for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) add_node(set, *ggml_graph_node(graph, i));
    }
    return true;
}

static void add_cache(KernelSet & set, llama_model & model, const CacheTypes & cache, const EngineLog & log) {
    constexpr auto FLASH = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    bool accepted = add_graphs(set, model, {cache, FLASH, 1, /*embeddings*/ true});
    // The server asks for "auto", which becomes one of these by what the device can do.
    for (const auto flash : {FLASH, LLAMA_FLASH_ATTN_TYPE_DISABLED}) {
        // Quantised V needs flash attention, and the engine would only say so.
        if (flash == LLAMA_FLASH_ATTN_TYPE_DISABLED && ggml_is_quantized(cache.v)) continue;
        for (const uint32_t sequences : {1u, 2u}) accepted |= add_graphs(set, model, {cache, flash, sequences, false});
    }
    if (!accepted) {
        throw Failure(EXIT_INPUT, "the engine cannot make this model's graph with a KV cache of " + type_name(cache.k) +
                                      " and " + type_name(cache.v) + ": " + log.complaint, "-v shows the engine's log");
    }
}

KernelSet kernel_set_of(const std::string & name, const std::vector<CacheTypes> & caches, bool verbose,
                        const std::function<void(llama_model &, EngineLog &)> & also) {
    EngineLog log{verbose, ""};
    llama_log_set(hear, &log);
    const auto usual_end = ggml_set_abort_callback(end_after_abort);
    KernelSet set;
    try {
        const llama_model_ptr model = load_without_weights(name, log);
        add_weights(set, *model);
        for (const CacheTypes & cache : caches) add_cache(set, *model, cache, log);
        if (also) also(*model, log);
    } catch (...) {
        llama_log_set(nullptr, nullptr);
        ggml_set_abort_callback(usual_end);
        throw;
    }
    llama_log_set(nullptr, nullptr);
    ggml_set_abort_callback(usual_end);
    return set;
}

}  // namespace ingot
