// What the model computes, as numbers: logits at every position of given tokens, the residual
// stream after each layer, greedy continuations with the candidates of each step. For ingot compare
// and for fingerprints; nothing is sampled, so nothing depends on a seed.
#include "trace.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <numeric>

#include "decode.h"
#include "engine/words.h"
#include "error.h"
#include "ggml-backend.h"
#include "modules.h"

namespace ingot {

using nlohmann::json;

// Residual streams, [layer][token][element]; filled by a callback while a graph is computed.
struct Layers {
    bool                            active = false;
    std::vector<std::vector<float>> streams;
};

// Upstream names what leaves layer N "l_out-N", in every architecture's graph.
static bool collect_layer(ggml_tensor * tensor, bool ask, void * data) {
    auto & layers = *static_cast<Layers *>(data);
    const bool wanted = layers.active && std::strncmp(tensor->name, "l_out-", 6) == 0 && tensor->type == GGML_TYPE_F32;
    if (ask || !wanted) return ask ? wanted : true;
    const size_t index = (size_t) std::max(0, std::atoi(tensor->name + 6));
    if (layers.streams.size() <= index) layers.streams.resize(index + 1);
    auto & stream = layers.streams[index];
    const size_t before = stream.size();
    stream.resize(before + (size_t) ggml_nelements(tensor));
    ggml_backend_tensor_get(tensor, stream.data() + before, 0, ggml_nbytes(tensor));
    return true;
}

class Tracer {
  public:
    Tracer(common_params & params, bool with_layers) {
        if (with_layers) {
            params.cb_eval           = collect_layer;
            params.cb_eval_user_data = &layers;
        }
        init    = common_init_from_params(params);
        context = init->context();
        if (!context) throw engine_failure();
        model = llama_get_model(context);
        vocab = llama_model_get_vocab(model);
        size  = llama_vocab_n_tokens(vocab);
        if (llama_model_has_encoder(model) && !llama_model_has_decoder(model)) {
            throw Failure(EXIT_INPUT, "this model has no logits: it is an encoder", "compare its vectors, with embed");
        }
    }

    json facts() const {
        return {{"vocabulary", size}, {"layers", llama_model_n_layer(model)}, {"embedding_length", llama_model_n_embd(model)},
                {"context", llama_n_ctx(context)}, {"threads", llama_n_threads(context)}, {"cpu_module", cpu_level()}, {"backends", backends()}};
    }

    // Feeds `tokens` from position `start`; rows of logits for positions >= `from` go to `sink`.
    void feed(const std::vector<llama_token> & tokens, llama_pos start, size_t from, const std::function<void(const float *, size_t)> & sink) {
        for (size_t at = 0; at < tokens.size();) {
            const size_t count = std::min<size_t>(llama_n_batch(context), tokens.size() - at);
            const size_t skip  = std::min(count, from > at ? from - at : 0);
            const std::vector<llama_token> part(tokens.begin() + at, tokens.begin() + at + count);
            if (decode(context, part, start + (llama_pos) at, skip) != 0) {
                throw Failure(EXIT_NO, "the engine could not compute these tokens");
            }
            if (skip < count) sink(llama_get_logits(context), count - skip);
            at += count;
        }
    }

    void restart() { llama_memory_clear(llama_get_memory(context), true); }

    void check(const std::vector<llama_token> & tokens) const {
        for (const llama_token token : tokens) {
            if (token < 0 || token >= size) throw Failure(EXIT_INPUT, "the job has a token that the model's vocabulary lacks");
        }
        if (tokens.empty() || tokens.size() > llama_n_ctx(context)) {
            throw Failure(EXIT_INPUT, "the job has a sequence of " + std::to_string(tokens.size()) + " tokens, and the context is " +
                                          std::to_string(llama_n_ctx(context)));
        }
    }

    common_init_result_ptr init;
    llama_context *        context = nullptr;
    const llama_model *    model   = nullptr;
    const llama_vocab *    vocab   = nullptr;
    int                    size    = 0;
    Layers                 layers;
};

static std::ofstream open_output(const json & job, const char * key) {
    std::ofstream out(job.at(key).get<std::string>(), std::ios::binary | std::ios::trunc);
    if (!out) throw Failure(EXIT_INPUT, "cannot write " + job.at(key).get<std::string>());
    return out;
}

static void write_rows(std::ofstream & out, const float * data, size_t count) {
    out.write(reinterpret_cast<const char *>(data), (std::streamsize) (count * sizeof(float)));
    if (!out) throw Failure(EXIT_INPUT, "the numbers cannot be written: is the disk full?");
}

// Logits as float32, one row of the vocabulary's size per scored position.
static void score(Tracer & tracer, const json & job) {
    const auto sequences = job.at("sequences").get<std::vector<std::vector<llama_token>>>();
    const size_t from = job.value("from", (size_t) 0);
    std::ofstream out = open_output(job, "logits");
    for (const auto & tokens : sequences) {
        tracer.check(tokens);
        tracer.restart();
        tracer.feed(tokens, 0, from, [&](const float * rows, size_t count) { write_rows(out, rows, count * (size_t) tracer.size); });
    }
}

// The residual stream of one sequence: every position is an output, or the last layer would lack rows.
static json trace_layers(Tracer & tracer, const json & job) {
    const auto tokens = job.at("tokens").get<std::vector<llama_token>>();
    std::ofstream out = open_output(job, "streams");
    tracer.check(tokens);
    tracer.restart();
    tracer.layers.active = true;
    tracer.feed(tokens, 0, 0, [](const float *, size_t) {});
    tracer.layers.active = false;
    const size_t expected = tokens.size() * (size_t) llama_model_n_embd(tracer.model);
    json found = json::array();
    for (size_t i = 0; i < tracer.layers.streams.size(); ++i) {
        const auto & stream = tracer.layers.streams[i];
        if (stream.size() != expected) continue;
        write_rows(out, stream.data(), stream.size());
        found.push_back(i);
    }
    return found;
}

// The best `count` of a row, best first; of equal ones the lower token.
static json best(const float * row, int size, int count) {
    std::vector<llama_token> order((size_t) size);
    std::iota(order.begin(), order.end(), 0);
    count = std::min(count, size);
    std::partial_sort(order.begin(), order.begin() + count, order.end(),
                      [&](llama_token a, llama_token b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
    json list = json::array();
    for (int i = 0; i < count; ++i) list.push_back({order[(size_t) i], row[order[(size_t) i]]});
    return list;
}

static json continue_greedily(Tracer & tracer, const json & prompt, int limit, int top) {
    auto tokens = prompt.is_string() ? common_tokenize(tracer.context, prompt.get<std::string>(), true, true)
                                     : prompt.get<std::vector<llama_token>>();
    tracer.check(tokens);
    const size_t room = llama_n_ctx(tracer.context) - tokens.size();
    json steps = json::array(), chosen = json::array();
    std::string text;
    llama_pos position = 0;
    const json asked = tokens;
    tracer.restart();
    for (int i = 0; i < limit && (size_t) i < room; ++i) {
        json candidates;
        tracer.feed(tokens, position, tokens.size() - 1, [&](const float * row, size_t) { candidates = best(row, tracer.size, top); });
        position += (llama_pos) tokens.size();
        const llama_token next = candidates[0][0].get<llama_token>();
        steps.push_back(candidates);
        chosen.push_back(next);
        if (llama_vocab_is_eog(tracer.vocab, next)) break;
        text += common_token_to_piece(tracer.vocab, next, true);
        tokens = {next};
    }
    return {{"prompt", asked}, {"tokens", chosen}, {"text", text}, {"steps", steps}};
}

json trace(common_params & params, const json & job) {
    Tracer tracer(params, job.contains("layers"));
    json answer = {{"model", tracer.facts()}};
    if (const auto text = job.find("tokenize"); text != job.end()) {
        answer["tokens"] = common_tokenize(tracer.context, text->get<std::string>(), false, false);
        answer["begins_with"] = llama_vocab_get_add_bos(tracer.vocab) ? json(llama_vocab_bos(tracer.vocab)) : json();
    }
    if (const auto part = job.find("score"); part != job.end()) score(tracer, *part);
    if (const auto part = job.find("layers"); part != job.end()) answer["layers"] = trace_layers(tracer, *part);
    if (const auto part = job.find("greedy"); part != job.end()) {
        const int limit = part->value("tokens", 64), top = part->value("top", 5);
        answer["greedy"] = json::array();
        for (const auto & prompt : part->at("prompts")) answer["greedy"].push_back(continue_greedily(tracer, prompt, limit, top));
    }
    return answer;
}

}  // namespace ingot
