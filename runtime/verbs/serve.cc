// Chat and server: the engine's own, started with composed arguments. Chat on a terminal
// is the engine's client over a server in this process, so that the web page is there too.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <thread>

#include "../engine/judge.h"
#include "../engine/words.h"
#include "../error.h"
#include "../os.h"
#include "../printable.h"
#include "../server/announcement.h"
#include "../server/params.h"
#include "../server/responses.h"
#include "../server/router.h"
#include "../server/templates.h"
#include "http.h"
#include "log.h"
#include "verbs.h"

int  llama_server(common_params & params, int argc, char ** argv);
int  llama_cli(int argc, char ** argv);
void llama_server_terminate();

namespace ingot::verbs {

static constexpr int DEFAULT_PORT = 8080;

// What every server of ours gets: browsers let in from this machine's pages only, where upstream
// lets in all; our web page unless the author left it out.
static Args common_extra(const Bundle * bundle, const Args & user) {
    Args extra{"--cors-origins", "localhost"};
    if (bundle && !bundle->manifest.first("ui")) extra.push_back("--no-ui");
    if (!wants_log(user)) extra.insert(extra.end(), {"-lv", "1"});
    return extra;
}

// And of one model: embeddings beside chat, pooled by the mean where the bundled model does not
// say how.
static Args server_extra(const Bundle * bundle, const Args & user) {
    Args extra = common_extra(bundle, user);
    extra.push_back("--embeddings");
    if (bundle && !names_other_model(user) && !bundle->manifest.embedding_model) extra.insert(extra.end(), {"--pooling", "mean"});
    return extra;
}

// The port that an argument vector or the engine's environment asks for.
static std::optional<int> port_in(const Args & args) {
    Args copy = args;
    Args ports = take_values(copy, {"--port"});
    if (const char * asked = std::getenv("LLAMA_ARG_PORT"); asked && ports.empty()) ports = {asked};
    if (ports.empty()) return std::nullopt;
    char * end = nullptr;
    const long port = std::strtol(ports.back().c_str(), &end, 10);
    if (ports.back().empty() || *end != '\0' || port < 0 || port > 65535) {
        throw Failure(EXIT_USAGE, "--port takes a number from 1 to 65535, or 0 for any free port, not '" + ports.back() + "'");
    }
    return (int) port;
}

static std::string title(const Bundle * bundle) { return bundle ? printable(bundle->manifest.name) : "the model"; }

static bool has_page(const Bundle * bundle, const common_params & params) {
    return (bundle && bundle->manifest.first("ui") && params.ui) || !params.public_path.empty();
}

// The engine ended because of the model's chat template.
static void check_template() {
    if (templates::refusal().empty()) return;
    throw Failure(EXIT_INPUT, "the model's chat template cannot be used: " + templates::refusal(),
                  "--chat-template chatml uses a common one in its place; -p TEXT and embed need none");
}

// How the server is asked for: the arguments of one model, or those of a router.
static ServerRequest server_request(const Bundle * bundle, const Args & user, bool one_model) {
    if (!one_model) return {nullptr, router::compose(bundle, common_extra(bundle, user), user), wants_log(user)};
    const Bundle * own = names_other_model(user) ? nullptr : bundle;
    return {own, compose(bundle, LLAMA_EXAMPLE_SERVER, server_extra(bundle, user), user), wants_log(user)};
}

static bool is_like_llamafile(const Bundle * bundle, Args & user) {
    return take_flag(user, {"--llamafile"}) || (bundle && has_flag(bundle->manifest.default_args, {"--llamafile"}));
}

int serve(const Bundle * bundle, Args user) {
    user = router::without_own_model(user);
    if (is_like_llamafile(bundle, user)) answer_like_llamafile();
    const bool routes = router::asked_for(bundle, user);
    ServerRequest request = server_request(bundle, user, !routes && !router::is_downloading());
    port_in(request.args);  // refused in our words, where the engine has none
    common_params params = server_params(request);
    need_addresses(params);
    if (routes) router::prepare(bundle, params);
    // The engine inserts this word into the command line of each child. It is a router also where -hf
    // names a repository that lists models (preset.ini), which is known after this only.
    setenv("LLAMA_APP_CMD", "serve", 1);
    if (!router::is_child()) {
        announce_server({title(bundle), params.api_prefix, params.hostnames.size(), has_page(bundle, params), routes});
    }
    auto argv = as_argv(request.args);
    try {
        return run_engine([&] { return llama_server(params, (int) request.args.size(), argv.data()); });
    } catch (const Failure &) {
        check_template();
        throw;
    }
}

// A server in a thread of this process, for the chat client to talk to.
class LocalServer {
  public:
    LocalServer(ServerRequest request, int port)
        : request_(std::move(request)), url_("http://127.0.0.1:" + std::to_string(port)), params_(server_params(request_)) {
        if (!params_.api_keys.empty()) {
            throw Failure(EXIT_USAGE, "chat cannot use an API key", "serve --api-key KEY can");
        }
        llama_backend_init();
        llama_numa_init(params_.numa);
        reach_ourselves(port);
        thread_ = std::thread([this] {
            try {
                code_ = llama_server(params_, 0, nullptr);
            } catch (...) {
                error_ = std::current_exception();
            }
            alive_ = false;
        });
    }
    ~LocalServer() {
        if (alive_) llama_server_terminate();
        if (thread_.joinable()) thread_.join();
    }
    // True once it answers; false when it ended instead. Throws what ended it, if that threw.
    bool ready() const {
        while (alive_) {
            auto [client, parts] = common_http_client(url_);
            const auto answer = client.Get(params_.api_prefix + "/health");
            if (answer && answer->status == 200) {
                // /health is true before the task loop runs, and only that loop can be ended;
                // this is answered by the loop itself.
                client.Get(params_.api_prefix + "/lora-adapters");
                return alive_;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        if (error_) std::rethrow_exception(error_);
        return false;
    }
    const std::string & url() const { return url_; }
    const common_params & params() const { return params_; }

  private:
    // Whatever else it listens on, the client in this process needs the loopback address.
    void reach_ourselves(int port) {
        params_.port = port;
        auto & hosts = params_.hostnames;
        const auto listens_on = [&](const char * host) { return std::find(hosts.begin(), hosts.end(), host) != hosts.end(); };
        if (!listens_on("127.0.0.1") && !listens_on("0.0.0.0")) hosts.insert(hosts.begin(), "127.0.0.1");
        url_ += params_.api_prefix;
    }

    ServerRequest      request_;
    std::string        url_;
    common_params      params_;
    std::thread        thread_;
    std::atomic<bool>  alive_{true};
    std::atomic<int>   code_{0};
    std::exception_ptr error_;
};

// The web page keeps its conversations per address, so the same port is tried first each time.
static int chat_port(const Args & args) {
    const std::optional<int> asked = port_in(args);
    if (asked && *asked != 0) {
        const std::string why = os::why_not_listen("127.0.0.1", *asked);
        if (why.empty()) return *asked;
        throw Failure(EXIT_INPUT, "port " + std::to_string(*asked) + " " + why, "choose another with --port N");
    }
    for (int port = DEFAULT_PORT; !asked && port < DEFAULT_PORT + 20; ++port) {
        if (os::why_not_listen("127.0.0.1", port).empty()) return port;
    }
    return common_http_get_free_port();
}

int chat(const Bundle * bundle, Args user) {
    if (wants_help(user)) return serve(bundle, user);
    if (has_flag(user, {"--models-dir", "--models-preset"})) {
        throw Failure(EXIT_USAGE, "chat talks to one model", "serve is the one that takes --models-dir");
    }
    take_flag(user, {"--llamafile"});
    // Flags of the client stay with the client; what neither knows goes to the server, whose
    // parser then says so.
    const Args for_client = accepted_by(LLAMA_EXAMPLE_CLI, accepted_by(LLAMA_EXAMPLE_SERVER, user, /*inverted*/ true));
    const Args not_client = accepted_by(LLAMA_EXAMPLE_CLI, user, true);
    Args for_server = accepted_by(LLAMA_EXAMPLE_SERVER, user);
    const Args unknown = accepted_by(LLAMA_EXAMPLE_SERVER, not_client, true);
    for_server.insert(for_server.end(), unknown.begin(), unknown.end());

    judge_words(LLAMA_EXAMPLE_CLI, for_client);
    ServerRequest request = server_request(bundle, for_server, /*one_model*/ true);
    const int port = chat_port(request.args);
    LocalServer server(std::move(request), port);
    if (!server.ready()) {
        check_template();
        throw engine_failure();
    }
    if (has_page(bundle, server.params())) std::fprintf(stderr, "web page: %s\n", server.url().c_str());

    Args args{title(bundle), "--server-base", server.url()};
    if (bundle) {
        const Args baked = accepted_by(LLAMA_EXAMPLE_CLI, accepted_by(LLAMA_EXAMPLE_SERVER, bundle->manifest.default_args, true));
        args.insert(args.end(), baked.begin(), baked.end());
    }
    args.insert(args.end(), for_client.begin(), for_client.end());
    auto argv = as_argv(args);
    return run_engine(llama_cli, (int) args.size(), argv.data());
}

}  // namespace ingot::verbs
