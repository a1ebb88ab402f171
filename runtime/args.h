// Composes the engine's argument vectors: what the executable carries, then the author's
// baked defaults, then the user's own, so that the later wins. Knows which flags a verb of
// the engine takes by asking the engine's own parser, and drops baked ones that it doesn't.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "bundle.h"
#include "engine/options.h"

namespace ingot {

// What the command line asks for, before any engine flag is looked at.
struct Request {
    std::string verb;  // "chat", "serve", ... ; "" when none was named
    Args        rest;  // the user's remaining arguments, in order
};

// Splits off the verb: a first word ("serve"), a help or version flag, or a llamafile
// spelling anywhere (--server, --chat, --cli).
Request parse_request(const Args & args);

// A word that is the value of the flag before it is never taken for a flag.
bool has_flag(const Args & args, std::initializer_list<const char *> spellings);
// Removes every `spelling VALUE` pair and returns the values in order. Throws Failure when
// a value is missing.
Args take_values(Args & args, std::initializer_list<const char *> spellings);
// Removes a flag without value; true when it was there.
bool take_flag(Args & args, std::initializer_list<const char *> spellings);

// The user asks for the engine's own help, or for its log, and so gets it unfiltered.
bool wants_help(const Args & user);
bool wants_log(const Args & user);

// True when the user named a model of their own (-m, -hf, ...): then nothing of the bundle applies.
bool names_other_model(const Args & user);

// From now on compose() adds what makes answers the same at every run; the user's own options win.
void be_deterministic(bool on);
bool is_deterministic();

// The variable by which a router gives flags of Ingot's own to the processes of its models, a line each.
constexpr const char * CHILDS_FLAGS = "INGOT_CHILDS_FLAGS";

// Full argument vector for an engine verb; element 0 is the program's name.
Args compose(const Bundle * bundle, llama_example verb, const Args & extra, const Args & user);

// The same where no one model is meant: neither what the bundle carries nor its baked defaults.
Args compose_without_model(const Bundle * bundle, llama_example verb, const Args & own, const Args & user);

// Those of `args` whose option, by its first spelling, is one of `options`.
Args named_options(llama_example verb, const Args & args, const std::set<std::string> & options);

// Those of `args`, flag by flag with its values, that `verb` accepts (or, inverted, does not).
Args accepted_by(llama_example verb, const Args & args, bool inverted = false);

// A mutable C argument vector over `args`, which must outlive it.
std::vector<char *> as_argv(Args & args);

}  // namespace ingot
