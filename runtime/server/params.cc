#include "params.h"

#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdlib>

#include "../engine/ranges.h"
#include "../engine/words.h"
#include "../error.h"
#include "../limits/limits.h"
#include "../os.h"
#include "../seams.h"
#include "ggml-backend.h"
#include "router.h"
#include "server-stream.h"
#include "templates.h"

namespace ingot {

// What the engine's main does before it parses. The backend comes first: its choice forks, which is to
// happen while there is one thread.
static void start_engine() {
    std::setlocale(LC_NUMERIC, "C");
    std::signal(SIGPIPE, SIG_IGN);
    ggml_backend_reg_count();
    common_init();
    server_stream_session_manager_start();
}

static std::string trimmed(const std::string & text) {
    const char * const space = " \t\r\n";
    const size_t from = text.find_first_not_of(space);
    return from == std::string::npos ? "" : text.substr(from, text.find_last_not_of(space) + 1 - from);
}

// A key that a script left empty would let everybody in, without a word.
static void check_api_key(common_params & params, const Args & args) {
    const bool named = !params.api_keys.empty();  // also by the engine's own settings on this machine
    std::vector<std::string> keys;
    for (const auto & key : params.api_keys) {
        if (!trimmed(key).empty()) keys.push_back(trimmed(key));
    }
    params.api_keys = keys;
    const bool asked = named || has_flag(args, {"--api-key", "--api-key-file", "--api_key", "--api_key_file"}) ||
                       std::getenv("LLAMA_API_KEY") || std::getenv("LLAMA_ARG_API_KEY_FILE");
    if (asked && keys.empty()) {
        throw Failure(EXIT_USAGE, "the API key is empty",
                      "give one with --api-key KEY, or leave it out (and LLAMA_API_KEY unset) to let everybody in");
    }
}

static void check_tls(const common_params & params) {
    if (params.ssl_file_key.empty() && params.ssl_file_cert.empty()) return;
    throw Failure(EXIT_USAGE, "there is no TLS in this program",
                  "leave out --ssl-*, and put a proxy that speaks https in front");
}

static bool has_gpu() {
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        if (ggml_backend_dev_type(ggml_backend_dev_get(i)) == GGML_BACKEND_DEVICE_TYPE_GPU) return true;
    }
    return false;
}

// Tokens that a batch may have: the engine sets room for the logits of each of them aside, of which an
// eighth of the machine's memory is enough. At most what `embed` takes, at least what the engine takes.
static int affordable_batch(const Bundle * bundle) {
    const uint64_t UNKNOWN = 131072, MOST = 8192, LEAST = 512;
    const uint64_t known = bundle ? std::strtoull(bundle->manifest.model_fact("vocabulary").c_str(), nullptr, 10) : 0;
    const uint64_t tokens = std::min(os::memory_size(), limits::memory().room) / 8 / ((known ? known : UNKNOWN) * sizeof(float));
    return (int) std::clamp(tokens / 256 * 256, LEAST, MOST);
}

static bool names_batch(const Args & args) {
    return has_flag(args, {"-b", "--batch-size", "--batch_size", "-ub", "--ubatch-size", "--ubatch_size"}) ||
           std::getenv("LLAMA_ARG_BATCH") || std::getenv("LLAMA_ARG_UBATCH");
}

// A text to be embedded is one batch, as in `embed`. A GPU's memory for such a batch is taken at once
// and not when it is used, so that there only an embedding model gets it unasked.
static void take_whole_texts(common_params & params, const ServerRequest & request) {
    const bool embeds = request.bundle && request.bundle->manifest.embedding_model;
    if (names_batch(request.args) || (!embeds && params.n_gpu_layers != 0 && has_gpu())) return;
    const int most = affordable_batch(request.bundle);
    params.n_ubatch = std::max(params.n_ubatch, params.n_ctx > 0 ? std::min(params.n_ctx, most) : most);
    params.n_batch  = std::max(params.n_batch, params.n_ubatch);
}

// With a cache of its own for each slot the engine computes texts of several slots in pieces, and pools the last
// piece of each (https://github.com/ggml-org/llama.cpp/issues/12836 is about the same): so the slots share one
// cache, as they do where their number is not given, and each may fill what would have been its own.
static void share_cache(common_params & params, const Args & args) {
    const bool chosen = has_flag(args, {"-kvu", "--kv-unified", "--kv_unified", "-no-kvu", "--no-kv-unified", "--no_kv_unified",
                                        "--kv-unified-per-slot", "--kv_unified_per_slot"}) ||
                        std::getenv("LLAMA_ARG_KV_UNIFIED") || std::getenv("LLAMA_ARG_NO_KV_UNIFIED") ||
                        std::getenv("LLAMA_ARG_KV_UNIFIED_PER_SLOT");
    if (chosen || !params.embedding || params.n_parallel < 2) return;
    const int step = 256;  // tokens, to which the engine rounds a slot's own cache
    params.kv_unified = true;
    // In a shared cache a new request clears idle slots, which are to be there when they are saved.
    if (!params.slot_save_path.empty()) params.cache_idle_slots = false;
    if (params.n_ctx <= 0) return;
    params.kv_unified_per_slot = (params.n_ctx / params.n_parallel + step - 1) / step * step;
    params.n_ctx = params.n_parallel * params.kv_unified_per_slot;
}

// The engine asserts that a batch has room for a token of each slot, and tries itself out with two tokens.
static void check_batch(const common_params & params) {
    const int AUTOMATIC = 4;  // slots of a server that is not told
    const int least = std::max(2, params.n_parallel < 1 ? AUTOMATIC : params.n_parallel);
    const int batch = std::min(params.n_batch, params.n_ubatch);
    if (batch >= least) return;
    throw Failure(EXIT_USAGE, "-b and -ub take a whole number that is at least " + std::to_string(least) + " with as many slots, not '" +
                                  std::to_string(batch) + "'", "take more, or fewer slots with -np N");
}

// One name, whatever its characters: the engine cuts --alias at commas.
static void name_model(common_params & params, const ServerRequest & request) {
    if (router::is_child()) {
        Args copy = request.args;
        const Args names = take_values(copy, {"-a", "--alias"});
        if (!names.empty()) params.model_alias = {names.back()};
    } else if (request.bundle && params.model_alias.empty()) {
        params.model_alias = {request.bundle->manifest.name};
    }
}

static void leave_out_projector(common_params & params, const ServerRequest & request) {
    if (!request.bundle || !params.no_mmproj || params.mmproj.path != request.bundle->file.path()) return;
    params.mmproj.path.clear();
}

common_params server_params(ServerRequest & request) {
    start_engine();
    common_params params;
    auto argv = as_argv(request.args);
    if (!common_params_parse((int) request.args.size(), argv.data(), params, LLAMA_EXAMPLE_SERVER)) {
        throw not_accepted();
    }
    check_api_key(params, request.args);
    check_tls(params);
    take_whole_texts(params, request);
    share_cache(params, request.args);
    check_batch(params);
    name_model(params, request);
    leave_out_projector(params, request);
    const bool embeds = request.bundle && request.bundle->manifest.embedding_model;
    templates::prepare({request.bundle != nullptr, params.use_jinja, !embeds, request.loud});
    return params;
}

static bool is_socket_file(const std::string & host) {
    return host.size() > 5 && host.rfind(".sock") == host.size() - 5;
}

// Vertex AI sets a port of its own, which the engine reads by itself, there and elsewhere.
static bool is_on_vertex() {
    const char * mode = std::getenv("AIP_MODE");
    const bool on = mode && std::string(mode) == "PREDICTION";
    if (!on) unsetenv("AIP_HTTP_PORT");
    const char * port = std::getenv("AIP_HTTP_PORT");
    const std::string why = port && *port ? range_problem("--port", port, /*whole*/ true) : "";
    if (!why.empty()) throw Failure(EXIT_USAGE, "AIP_HTTP_PORT " + why, "change or unset that variable of the environment");
    return on;
}

// For an address that is written as in a URL.
static std::string hint_for_host(const std::string & host) {
    const size_t bracket = host.find(']');
    const size_t colon = host.rfind(':');
    const bool six = !host.empty() && host[0] == '[' && bracket != std::string::npos;
    const bool port = colon != std::string::npos && (six ? colon > bracket : colon == host.find(':'));
    if (!six && !port) return "";
    return "write --host " + (six ? host.substr(1, bracket - 1) : host.substr(0, colon)) + (port ? " --port " + host.substr(colon + 1) : "");
}

void need_addresses(const common_params & params) {
    Args hosts;
    for (const auto & host : params.hostnames) {
        if (!is_socket_file(host)) hosts.push_back(host);
    }
    if (params.port == 0 && hosts.size() > 1) {
        throw Failure(EXIT_USAGE, "--port 0 takes one address, and --host names several", "give a port with --port N");
    }
    if (is_on_vertex() || params.port == 0 || params.reuse_port) return;
    for (const auto & host : hosts) {
        const std::string why = os::why_not_listen(host, params.port);
        if (why.empty()) continue;
        const std::string of = host == "127.0.0.1" ? "" : " of " + host;
        const std::string written = hint_for_host(host);
        const std::string stop = why == "is in use" ? "stop what listens there, or " : "";
        throw Failure(EXIT_INPUT, "port " + std::to_string(params.port) + of + " " + why,
                      !written.empty() ? written : stop + "choose another with --port N" + (of.empty() ? "" : ", or another address with --host"));
    }
}

}  // namespace ingot
