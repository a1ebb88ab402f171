// Chat and server: the engine's own, started with composed arguments. Chat on a terminal
// is the engine's client over a server in this process, so that the web page is there too.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>

#include "../error.h"
#include "../os.h"
#include "http.h"
#include "server-stream.h"
#include "verbs.h"

int  llama_server(int argc, char ** argv);
int  llama_server(common_params & params, int argc, char ** argv);
int  llama_cli(int argc, char ** argv);
void llama_server_terminate();

namespace ingot::verbs {

static constexpr int DEFAULT_PORT = 8080;

// For a model that brings no chat template: the messages, one after another. The engine's
// own fallback is ChatML, whose markers such a model has never seen, and whose generation
// prompt breaks JSON by schema with SentencePiece vocabularies.
static constexpr const char * PLAIN_TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}";

static bool lacks_template(const Bundle & bundle) { return bundle.manifest.model_fact("chat_template") == "false"; }

// What every server of ours gets: embeddings beside chat, pooled by the mean where the
// bundled model does not say how; our web page unless the author left it out; and browsers
// let in from this machine's pages only, where upstream lets in all.
static Args server_extra(const Bundle * bundle, const Args & user) {
    Args extra{"--embeddings", "--cors-origins", "localhost"};
    if (bundle && !names_other_model(user)) {
        if (!bundle->manifest.embedding_model) extra.insert(extra.end(), {"--pooling", "mean"});
        if (lacks_template(*bundle)) extra.insert(extra.end(), {"--chat-template", PLAIN_TEMPLATE});
    }
    if (bundle && !bundle->manifest.first("ui")) extra.push_back("--no-ui");
    if (!wants_log(user)) extra.insert(extra.end(), {"-lv", "1"});
    return extra;
}

// The port that an argument vector or the engine's environment asks for, 0 for none.
static int port_in(const Args & args) {
    Args copy = args;
    Args ports = take_values(copy, {"--port"});
    if (const char * asked = std::getenv("LLAMA_ARG_PORT"); asked && ports.empty()) ports = {asked};
    if (ports.empty()) return 0;
    char * end = nullptr;
    const long port = std::strtol(ports.back().c_str(), &end, 10);
    if (*end != '\0' || port < 1 || port > 65535) {
        throw Failure(EXIT_USAGE, "--port takes a number from 1 to 65535, not '" + ports.back() + "'");
    }
    return (int) port;
}

static std::string title(const Bundle * bundle) { return bundle ? bundle->manifest.name : "the model"; }

static void need_free(int port) {
    if (const std::string why = os::why_not_listen(port); !why.empty()) {
        throw Failure(EXIT_INPUT, "port " + std::to_string(port) + " " + why, "choose another with --port N");
    }
}

static bool has_page(const Bundle * bundle, const Args & args) {
    return bundle && bundle->manifest.first("ui") && !has_flag(args, {"--no-ui", "--no-webui"});
}

int serve(const Bundle * bundle, Args user) {
    Args args = compose(bundle, LLAMA_EXAMPLE_SERVER, server_extra(bundle, user), user);
    const bool local = !has_flag(args, {"--host", "--reuse-port"}) && !std::getenv("LLAMA_ARG_HOST");
    if (!wants_help(user) && local) {
        const int asked = port_in(args);
        const int port  = asked ? asked : DEFAULT_PORT;
        need_free(port);
        std::fprintf(stderr, "%s: http://127.0.0.1:%d  (OpenAI API under /v1%s; Ctrl-C stops)\n", title(bundle).c_str(),
                     port, has_page(bundle, args) ? ", web page at /" : "");
    }
    auto argv = as_argv(args);
    return llama_server((int) args.size(), argv.data());
}

// A server in a thread of this process, for the chat client to talk to.
class LocalServer {
  public:
    LocalServer(Args args, int port) : args_(std::move(args)), url_("http://127.0.0.1:" + std::to_string(port)) {
        // What llama_server(argc, argv) does around its parsing. The backend comes first: its
        // choice forks, which is to happen while there is one thread.
        std::setlocale(LC_NUMERIC, "C");
        std::signal(SIGPIPE, SIG_IGN);
        ggml_backend_reg_count();
        common_init();
        server_stream_session_manager_start();
        auto argv = as_argv(args_);
        if (!common_params_parse((int) args_.size(), argv.data(), params_, LLAMA_EXAMPLE_SERVER)) {
            throw Failure(EXIT_USAGE, "the engine did not accept these arguments");
        }
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

  private:
    // Whatever else it listens on, the client in this process needs the loopback address.
    void reach_ourselves(int port) {
        params_.port = port;
        auto & hosts = params_.hostnames;
        const auto listens_on = [&](const char * host) { return std::find(hosts.begin(), hosts.end(), host) != hosts.end(); };
        if (!listens_on("127.0.0.1") && !listens_on("0.0.0.0")) hosts.insert(hosts.begin(), "127.0.0.1");
        url_ += params_.api_prefix;
    }

    Args               args_;
    std::string        url_;
    common_params      params_;
    std::thread        thread_;
    std::atomic<bool>  alive_{true};
    std::atomic<int>   code_{0};
    std::exception_ptr error_;
};

// The web page keeps its conversations per address, so the same port is tried first each time.
static int chat_port(const Args & args) {
    if (const int asked = port_in(args)) {
        need_free(asked);
        return asked;
    }
    for (int port = DEFAULT_PORT; port < DEFAULT_PORT + 20; ++port) {
        if (os::why_not_listen(port).empty()) return port;
    }
    return common_http_get_free_port();
}

int chat(const Bundle * bundle, Args user) {
    if (wants_help(user)) return serve(bundle, user);
    // Flags of the client stay with the client; what neither knows goes to the server, whose
    // parser then says so.
    const Args for_client = accepted_by(LLAMA_EXAMPLE_CLI, accepted_by(LLAMA_EXAMPLE_SERVER, user, /*inverted*/ true));
    const Args not_client = accepted_by(LLAMA_EXAMPLE_CLI, user, true);
    Args for_server = accepted_by(LLAMA_EXAMPLE_SERVER, user);
    const Args unknown = accepted_by(LLAMA_EXAMPLE_SERVER, not_client, true);
    for_server.insert(for_server.end(), unknown.begin(), unknown.end());

    const Args composed = compose(bundle, LLAMA_EXAMPLE_SERVER, server_extra(bundle, user), for_server);
    LocalServer server(composed, chat_port(composed));
    if (!server.ready()) throw Failure(EXIT_INPUT, "the model could not be loaded", "run with -v to see why");
    if (has_page(bundle, composed)) std::fprintf(stderr, "web page: %s\n", server.url().c_str());

    Args args{title(bundle), "--server-base", server.url()};
    if (bundle) {
        const Args baked = accepted_by(LLAMA_EXAMPLE_CLI, accepted_by(LLAMA_EXAMPLE_SERVER, bundle->manifest.default_args, true));
        args.insert(args.end(), baked.begin(), baked.end());
    }
    args.insert(args.end(), for_client.begin(), for_client.end());
    auto argv = as_argv(args);
    return llama_cli((int) args.size(), argv.data());
}

}  // namespace ingot::verbs
