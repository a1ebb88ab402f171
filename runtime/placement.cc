#include "placement.h"

#include "../src/llama-ext.h"
#include "../src/llama-model.h"
#include "common.h"
#include "decode.h"
#include "error.h"
#include "ggml-backend.h"

namespace ingot {

// More than the columns that generation's kernels take, so that a prompt's kernels run too.
static constexpr int PROMPT_TOKENS = 40;

static std::string device_of(const ggml_tensor & tensor) {
    const ggml_tensor & owner = tensor.view_src ? *tensor.view_src : tensor;
    if (!owner.buffer) return "none";
    ggml_backend_buffer_type_t place = ggml_backend_buffer_get_type(owner.buffer);
    ggml_backend_dev_t device = ggml_backend_buft_get_device(place);
    // A device's pinned host memory is where the CPU keeps what the device will read.
    return device && place != ggml_backend_dev_host_buffer_type(device) ? ggml_backend_dev_name(device) : "CPU";
}

// The engine's callback, before (`ask`) and after each node. The scheduler writes a node's result
// into a buffer of the backend that computes it.
static bool note(ggml_tensor * node, bool ask, void * data) {
    const bool moves_nothing = node->op == GGML_OP_NONE || node->op == GGML_OP_VIEW || node->op == GGML_OP_RESHAPE ||
                               node->op == GGML_OP_PERMUTE || node->op == GGML_OP_TRANSPOSE;
    if (!ask && !moves_nothing) ++static_cast<Placement *>(data)->ops[device_of(*node)][ggml_op_desc(node)];
    return true;
}

static void add_weights(Placement & found, const llama_model & model) {
    std::map<std::string, const ggml_tensor *> tensors;  // one that has two uses is listed twice
    for (const auto & [name, tensor] : llama_internal_get_tensor_map(&model)) tensors[name] = tensor;
    for (const auto & [name, tensor] : tensors) {
        Placement::Weights & share = found.weights[device_of(*tensor)];
        share.bytes += ggml_nbytes(tensor);
        share.names.push_back(name);
    }
}

static void process(llama_context * context, int tokens, int past) {
    const llama_vocab * vocab = llama_model_get_vocab(llama_get_model(context));
    std::vector<llama_token> some;
    for (int i = 0; i < tokens; ++i) some.push_back((llama_token) i % llama_vocab_n_tokens(vocab));
    if (decode(context, some, past, some.size() - 1) != 0) throw Failure(EXIT_NO, "the engine could not run the model");
}

Placement placement_of(const Bundle * bundle, const Args & user) {
    Args args = compose(bundle, LLAMA_EXAMPLE_SERVER, {"-lv", "1"}, user);
    auto argv = as_argv(args);
    Placement found;
    common_params params;
    common_init();
    if (!common_params_parse((int) args.size(), argv.data(), params, LLAMA_EXAMPLE_SERVER)) {
        throw Failure(EXIT_USAGE, "the engine did not accept these arguments");
    }
    params.n_parallel        = 1;
    params.warmup            = false;
    params.cb_eval           = note;
    params.cb_eval_user_data = &found;
    llama_backend_init();
    const auto init = common_init_from_params(params);
    if (!init->context()) throw Failure(EXIT_INPUT, "the model could not be loaded", "run with -v to see why");
    add_weights(found, *init->model());
    process(init->context(), PROMPT_TOKENS, 0);
    process(init->context(), 1, PROMPT_TOKENS);
    found.tokens = PROMPT_TOKENS + 1;
    return found;
}

}  // namespace ingot
