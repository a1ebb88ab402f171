// Sentence vectors and token ids, which the engine offers as examples only and not as
// libraries: short programs over its public API.
#include <cstdio>
#include <iostream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "../decode.h"
#include "../engine/words.h"
#include "../engine_params.h"
#include "../error.h"
#include "../os.h"
#include "../printable.h"
#include "../seams.h"
#include "texts.h"
#include "verbs.h"

namespace ingot::verbs {

using nlohmann::json;

// Texts of every -p, or the lines of standard input.
static Args take_texts(Args & user, bool by_line) {
    Args texts = take_values(user, {"-p", "--prompt"});
    const bool piped = texts.empty() || (texts.size() == 1 && texts[0] == "-");
    if (!piped) return texts;
    if (texts.empty() && os::is_terminal(stdin)) throw Failure(EXIT_USAGE, "no text given", "give it with -p TEXT, or pipe it in");
    texts.clear();
    if (!by_line) return {{std::istreambuf_iterator<char>(std::cin), {}}};
    for (std::string line; std::getline(std::cin, line);) {
        if (texts.empty()) drop_mark(line);
        if (!line.empty() && line.back() == '\r') line.pop_back();  // lines may end as on Windows
        texts.push_back(line);
    }
    return texts;
}

using Tokens = std::vector<llama_token>;

// A text must fit the context in one piece.
static Tokens tokens_of(llama_context * context, const std::string & text, size_t index) {
    const Tokens tokens = common_tokenize(context, text, true, true);
    const std::string name = "text " + std::to_string(index + 1);
    if (text.empty() || tokens.empty()) throw Failure(EXIT_INPUT, name + " is empty", "there is no vector for nothing: leave it out");
    if (tokens.size() > llama_n_ubatch(context)) {
        throw Failure(EXIT_INPUT, name + " has " + std::to_string(tokens.size()) + " tokens and the model takes " +
                                      std::to_string(llama_n_ubatch(context)),
                      "split it, or raise -c and -b up to the model's own limit");
    }
    return tokens;
}

// Of all texts, before any vector is printed: what reads them counts on one per text.
static std::vector<Tokens> all_tokens(llama_context * context, const Args & texts) {
    std::vector<Tokens> all;
    for (size_t i = 0; i < texts.size(); ++i) all.push_back(tokens_of(context, texts[i], i));
    return all;
}

// One normalised vector.
static std::vector<float> embed_one(llama_context * context, const common_params & params, const Tokens & tokens, size_t index) {
    llama_memory_clear(llama_get_memory(context), true);
    const int failed = decode(context, tokens, 0, 0);
    const float * raw = failed ? nullptr : llama_get_embeddings_seq(context, 0);
    if (!raw) throw Failure(EXIT_INPUT, "the engine could not compute text " + std::to_string(index + 1), "-v shows the engine's log");
    const int n = llama_model_n_embd_out(llama_get_model(context));
    std::vector<float> vector((size_t) n);
    common_embd_normalize(raw, vector.data(), n, params.embd_normalize);
    return vector;
}

int embed(const Bundle * bundle, Args user) {
    const bool as_json = take_flag(user, {"--json"});
    const Args texts = take_texts(user, /*by_line*/ true);
    Args extra;
    if (!bundle || !bundle->manifest.embedding_model) extra = {"--pooling", "mean"};
    common_params params = parse_engine(bundle, LLAMA_EXAMPLE_EMBEDDING, extra, user);
    params.embedding = true;
    params.n_parallel = 1;
    params.warmup = false;
    // A whole text is one batch, because attention of an encoder sees all of it at once.
    if (params.n_ctx == 0 && params.n_batch < 8192) params.n_batch = 8192;
    params.n_ubatch = params.n_batch;

    const auto init = common_init_from_params(params);
    llama_context * context = init->context();
    if (!context) throw engine_failure();
    if (llama_pooling_type(context) == LLAMA_POOLING_TYPE_NONE) {
        throw Failure(EXIT_USAGE, "with --pooling none there is no vector for a whole text", "use mean, cls or last");
    }
    const auto tokens = all_tokens(context, texts);
    json data = json::array();
    for (size_t i = 0; i < tokens.size(); ++i) {
        const auto vector = embed_one(context, params, tokens[i], i);
        if (as_json) {
            data.push_back({{"index", i}, {"embedding", vector}});
            continue;
        }
        for (size_t k = 0; k < vector.size(); ++k) std::printf("%s%.8g", k ? " " : "", (double) vector[k]);
        std::puts("");
        check_output();
    }
    if (as_json) std::puts(json{{"model", bundle ? bundle->manifest.name : ""}, {"data", data}}.dump().c_str());
    llama_backend_free();
    return EXIT_DONE;
}

int tokenize(const Bundle * bundle, Args user) {
    const bool as_json  = take_flag(user, {"--json"});
    const bool ids_only = take_flag(user, {"--ids"});
    const bool no_bos   = take_flag(user, {"--no-bos"});
    const Args texts = take_texts(user, /*by_line*/ false);
    const common_params params = parse_engine(bundle, LLAMA_EXAMPLE_EMBEDDING, {}, user);

    llama_model_params model_params = llama_model_default_params();
    model_params.vocab_only = true;
    llama_model * model = ingot_open_model(params.model.path.c_str(), model_params);
    if (!model) throw cannot_load();
    const llama_vocab * vocab = llama_model_get_vocab(model);
    json out = json::array();
    for (const auto & text : texts) {
        for (const llama_token token : common_tokenize(vocab, text, !no_bos, true)) {
            const std::string piece = common_token_to_piece(vocab, token, true);
            if (as_json) {
                out.push_back({{"id", token}, {"piece", piece}});
            } else if (ids_only) {
                std::printf("%d\n", token);
            } else {
                const std::string shown = json(piece).dump(-1, ' ', false, json::error_handler_t::replace);
                std::printf("%6d  %s\n", token, printable(shown).c_str());
            }
        }
    }
    if (as_json) std::puts(json{{"tokens", out}}.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
    llama_model_free(model);
    return EXIT_DONE;
}

}  // namespace ingot::verbs
