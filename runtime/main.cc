// The program inside every executable Ingot makes. Named steps; the work is elsewhere.
#include <cstdio>
#include <cstdlib>
#include <new>
#include <set>

#include "args.h"
#include "bundle.h"
#include "engine/abort.h"
#include "engine/environment.h"
#include "engine/words.h"
#include "error.h"
#include "gpu/load.h"
#include "gpu/recompile.h"
#include "modules.h"
#include "os.h"
#include "verbs/table.h"

using namespace ingot;

// Without a verb: a prompt completes it; a terminal chats; a pipe is completed; anything
// else (a service, a double click) serves.
static std::string implied_verb(const Args & user) {
    if (wants_help(user)) return "help";
    if (has_flag(user, {"-p", "--prompt", "-f", "--file"})) return "complete";
    if (os::is_terminal(stdin)) return "chat";
    return os::is_pipe_or_file(stdin) ? "complete" : "serve";
}

// The verbs that compute. Their CPU module is tested while the arguments are parsed.
static const std::set<std::string> COMPUTING = {"chat", "serve", "complete", "embed", "bench", "perplexity", "trace", "imatrix"};

// Tensor types that the module will meet: those of the carried weights and of any KV cache;
// all of them (an empty set) when other files come into play.
static std::set<std::string> types_to_meet(const Bundle * bundle, const Args & user) {
    const auto plain = [](const Args & args) {
        return !has_flag(args, {"--lora", "--lora-scaled", "-mm", "--mmproj", "-md", "--model-draft", "-ctk", "--cache-type-k",
                                "--cache_type_k", "-ctv", "--cache-type-v", "--cache_type_v"});
    };
    const bool only_own = bundle && !names_other_model(user) && bundle->manifest.all("lora").empty() &&
                          !bundle->manifest.first("projector") && !bundle->manifest.first("draft") && plain(user) &&
                          plain(bundle->manifest.default_args);
    for (const char * name : {"LLAMA_ARG_CACHE_TYPE_K", "LLAMA_ARG_CACHE_TYPE_V", "LLAMA_ARG_MODEL"}) {
        if (std::getenv(name)) return {};
    }
    std::set<std::string> types = only_own ? bundle->manifest.tensor_types() : std::set<std::string>{};
    if (!types.empty()) types.insert({"F32", "F16"});
    return types;
}

// --recompile beside another command: a server or a chat answers while the compiler works in a
// process of its own, and the module serves the next start; anything else waits for it. What goes
// wrong is told, and the command runs on what there is.
static void recompile_first(const std::string & verb, const Args & user) {
    const auto work = [&] {
        try {
            const auto set = gpu::kernel_set_for(own_bundle(), user);
            if (!own_bundle() || !set) throw Failure(EXIT_INPUT, "this model's kernels are not known");
            std::fprintf(stderr, "%s\n", gpu::recompile(*own_bundle(), *set, gpu::options(), gpu::options().kind).line.c_str());
        } catch (const Failure & failure) {
            std::fprintf(stderr, "note: no GPU module was made: %s (%s)\n", failure.what(), failure.hint.c_str());
        }
    };
    if (verb == "serve" || verb == "chat") os::in_background(work);
    else work();
}

static bool names_verb_by_flag(const Args & user) { return has_flag(user, {"-p", "--prompt", "-f", "--file"}) || wants_help(user); }

static int run(int argc, char ** argv) {
    // The bundle first: a damaged executable must say so, whatever it was asked for.
    const auto bundle = open_own_bundle(argc > 0 ? argv[0] : nullptr);
    set_own_bundle(bundle ? &*bundle : nullptr);
    clean_environment();

    Request request = parse_request(Args(argv + (argc > 0), argv + argc));
    be_deterministic(take_flag(request.rest, {"--deterministic"}));
    gpu::set_options(gpu::take_options(request.rest, bundle ? bundle->manifest.default_args : Args{}));
    const bool recompile = gpu::options().recompile && request.verb != "recompile" && request.verb != "doctor";
    if (recompile && request.verb.empty() && !names_verb_by_flag(request.rest)) request.verb = "recompile";
    if (request.verb.empty()) request.verb = implied_verb(request.rest);
    announce_cpu_choice(wants_log(request.rest));
    show_engine_log(wants_log(request.rest));
    const bool answers = request.verb == "verify" && has_flag(request.rest, {"--answers"});
    if ((COMPUTING.count(request.verb) || answers) && !wants_help(request.rest)) {
        if (recompile) recompile_first(request.verb, request.rest);
        begin_cpu_choice(types_to_meet(own_bundle(), request.rest));
        gpu::load_module(own_bundle(), request.rest, gpu::options());
    }
    const auto verb = own_verbs().find(request.verb);
    if (verb == own_verbs().end()) throw Failure(EXIT_USAGE, "this program cannot " + request.verb);
    return verb->second(own_bundle(), request.rest);
}

static Failure failure_of(const std::exception & error) {
    if (dynamic_cast<const std::bad_alloc *>(&error)) {
        return Failure(EXIT_INPUT, "there is not enough memory", "-c N takes a shorter context, which needs less memory");
    }
    if (std::string(error.what()) == "failed to parse grammar") return bad_grammar();
    std::string why = reason_in(error.what());
    if (const std::string first = engine_complaint(); !first.empty() && why.find(first) == std::string::npos) why += ": " + first;
    return Failure(EXIT_INPUT, "the engine gave up: " + why, "-v shows the engine's log");
}

static int tell_after_log(const Failure & failure) {
    flush_engine_log();
    tell(failure);
    watch_exit(false);
    return failure.code;
}

int main(int argc, char ** argv) {
    os::normalise_process();
    end_without_debugger();
    watch_exit(true);
    try {
        const int code = run(argc, argv);
        check_output();  // while errno is that of a write which failed
        flush_engine_log();
        check_output();
        watch_exit(false);
        return code;
    } catch (const Failure & failure) {
        return tell_after_log(failure);
    } catch (const std::exception & error) {
        return tell_after_log(failure_of(error));
    }
}
