// Completion and the engine's other one-shot tools.
#include <cstdio>
#include <iostream>
#include <iterator>

#include "../error.h"
#include "../os.h"
#include "verbs.h"

int llama_completion(int argc, char ** argv);
int llama_bench(int argc, char ** argv);
int llama_perplexity(int argc, char ** argv);

namespace ingot::verbs {

static constexpr const char * TEMPLATE = "--chat-template";

static std::string read_stdin() {
    std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    // As the engine does for -f: the newline that ends a file is not part of the prompt.
    if (!text.empty() && text.back() == '\n') text.pop_back();
    if (text.find('\0') != std::string::npos) throw Failure(EXIT_INPUT, "standard input is not text: it holds a NUL byte");
    return text;
}

int complete(const Bundle * bundle, Args user) {
    Args prompts = take_values(user, {"-p", "--prompt"});
    const bool from_file = has_flag(user, {"-f", "--file", "-bf", "--binary-file"});
    Args extra{"--no-display-prompt", "--no-conversation", "--simple-io", "--no-perf"};
    if (!wants_log(user)) extra.insert(extra.end(), {"-lv", "1"});
    if (prompts.size() > 1) throw Failure(EXIT_USAGE, "-p was given more than once");
    if (prompts.empty() && !from_file && !wants_help(user)) {
        if (os::is_terminal(stdin)) throw Failure(EXIT_USAGE, "complete needs a prompt", "give one with -p TEXT, -p - or -f FILE");
        prompts = {"-"};
    }
    if (!prompts.empty()) {
        const bool piped = prompts[0] == "-";
        const std::string text = piped ? read_stdin() : prompts[0];
        if (text.empty()) throw Failure(EXIT_USAGE, "the prompt is empty");
        // In front, so that a flag of the user's that lacks its value can't swallow them.
        user.insert(user.begin(), {"-p", text});
        if (piped) user.insert(user.begin(), "--no-escape");  // piped text is taken literally
    }
    // The author's chat template is for chat and serve: completion has no use for it, and its parser
    // refuses all but the engine's built-in ones.
    if (bundle && has_flag(bundle->manifest.default_args, {TEMPLATE}) && !has_flag(user, {TEMPLATE})) {
        user.insert(user.begin(), {TEMPLATE, ""});
    }
    Args args = compose(bundle, LLAMA_EXAMPLE_COMPLETION, extra, user);
    auto argv = as_argv(args);
    const int code = llama_completion((int) args.size(), argv.data());
    if (code != 0) return EXIT_NO;
    if (os::is_terminal(stdout)) std::puts("");
    return EXIT_DONE;
}

int perplexity(const Bundle * bundle, Args user) {
    Args args = compose(bundle, LLAMA_EXAMPLE_PERPLEXITY, {}, user);
    auto argv = as_argv(args);
    return llama_perplexity((int) args.size(), argv.data());
}

int bench(const Bundle * bundle, Args user) {
    // llama-bench has a parser of its own and takes none of the baked defaults.
    Args args{"bench"};
    if (!names_other_model(user)) {
        if (!bundle) throw Failure(EXIT_USAGE, "this runtime carries no model", "name one with -m MODEL.gguf");
        args.insert(args.end(), {"-m", "bundle:main"});
    }
    args.insert(args.end(), user.begin(), user.end());
    auto argv = as_argv(args);
    return llama_bench((int) args.size(), argv.data());
}

}  // namespace ingot::verbs
