// Completion and the engine's other one-shot tools.
#include <cstdio>
#include <cstdlib>

#include "../engine/judge.h"
#include "../engine/words.h"
#include "../error.h"
#include "../limits/limits.h"
#include "../os.h"
#include "../server/templates.h"
#include "texts.h"
#include "verbs.h"

int llama_completion(int argc, char ** argv);
int llama_bench(int argc, char ** argv);
int llama_perplexity(int argc, char ** argv);

namespace ingot::verbs {

static constexpr const char * TEMPLATE = "--chat-template";

// The text of -f FILE as the prompt, read here for one rule with standard input. The engine would cut it at a NUL.
static void read_prompt_file(Args & user) {
    const Args files = take_values(user, {"-f", "--file"});
    if (files.size() > 1) throw Failure(EXIT_USAGE, "-f was given more than once");
    if (!files.empty()) user.insert(user.begin(), {"-p", text_of_file(files[0])});
}

// The last value of an option, which the environment or the engine's default gives where the user does not.
static long last_number(Args user, std::initializer_list<const char *> flags, const char * variable, long otherwise) {
    const Args values = take_values(user, flags);
    const char * set = std::getenv(variable);
    const std::string text = !values.empty() ? values.back() : set ? set : "";
    return text.empty() ? otherwise : std::strtol(text.c_str(), nullptr, 10);
}

// The engine asserts it.
static void check_group_attention(const Args & user) {
    const long groups = last_number(user, {"-gan", "--grp-attn-n", "--grp_attn_n"}, "LLAMA_ARG_GRP_ATTN_N", 1);
    const long width  = last_number(user, {"-gaw", "--grp-attn-w", "--grp_attn_w"}, "LLAMA_ARG_GRP_ATTN_W", 512);
    if (groups <= 0 || width % groups == 0) return;  // its range is judged elsewhere
    throw Failure(EXIT_USAGE, "-gaw takes a multiple of -gan, which is " + std::to_string(groups) + ", not '" + std::to_string(width) + "'",
                  "help COMMAND says more about each option");
}

int complete(const Bundle * bundle, Args user) {
    if (!wants_help(user)) read_prompt_file(user);
    Args prompts = take_values(user, {"-p", "--prompt"});
    const bool from_file = has_flag(user, {"-bf", "--binary-file"});
    Args extra{"--no-display-prompt", "--no-conversation", "--simple-io", "--no-perf"};
    if (!wants_log(user)) extra.insert(extra.end(), {"-lv", "1"});
    if (prompts.size() > 1) throw Failure(EXIT_USAGE, "there is more than one prompt", "give one -p TEXT or one -f FILE");
    if (prompts.empty() && !from_file && !wants_help(user)) {
        if (os::is_terminal(stdin)) throw Failure(EXIT_USAGE, "complete needs a prompt", "give one with -p TEXT, -p - or -f FILE");
        prompts = {"-"};
    }
    if (!prompts.empty()) {
        const bool piped = prompts[0] == "-";
        const std::string text = piped ? text_of_stdin() : prompts[0];
        if (text.empty()) throw Failure(EXIT_USAGE, "the prompt is empty", "give one with -p TEXT, -p - or -f FILE");
        // In front, so that a flag of the user's that lacks its value can't swallow them.
        user.insert(user.begin(), {"-p", text});
        if (piped) user.insert(user.begin(), "--no-escape");  // piped text is taken literally
    }
    // A chat template, of the author or in the environment, is for chat and serve: completion has no use for it, and
    // its parser refuses all but the engine's built-in ones.
    if (!has_flag(user, {TEMPLATE, "--chat-template-file"})) user.insert(user.begin(), {TEMPLATE, ""});
    if (!has_flag(user, {"-cnv", "--conversation"})) templates::leave_out();
    check_group_attention(user);
    Args args = compose(bundle, LLAMA_EXAMPLE_COMPLETION, extra, user);
    auto argv = as_argv(args);
    run_engine(llama_completion, (int) args.size(), argv.data());
    if (os::is_terminal(stdout)) std::puts("");
    return EXIT_DONE;
}

int perplexity(const Bundle * bundle, Args user) {
    Args args = compose(bundle, LLAMA_EXAMPLE_PERPLEXITY, {}, user);
    auto argv = as_argv(args);
    run_engine(llama_perplexity, (int) args.size(), argv.data());
    if (!engine_complaint().empty()) throw engine_failure();  // it ends with 0 when a text is too short
    return EXIT_DONE;
}

int bench(const Bundle * bundle, Args user) {
    // llama-bench has a parser of its own and takes none of the baked defaults.
    Args args{"bench"};
    if (!names_other_model(user)) {
        if (!bundle) throw Failure(EXIT_USAGE, "this runtime carries no model", "name one with -m MODEL.gguf");
        args.insert(args.end(), {"-m", "bundle:main"});
    }
    if (limits::cpus().limited && !has_flag(user, {"-t", "--threads"})) {
        args.insert(args.end(), {"-t", std::to_string(limits::cpus().threads)});
    }
    judge_bench(user);
    args.insert(args.end(), user.begin(), user.end());
    auto argv = as_argv(args);
    return run_engine(llama_bench, (int) args.size(), argv.data());
}

}  // namespace ingot::verbs
