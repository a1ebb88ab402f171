#include "args.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>

#include "chat.h"
#include "../engine/judge.h"
#include "../engine/options.h"
#include "../error.h"
#include "../os.h"
#include "../server/templates.h"

namespace ingot {

// The engine's verbs that an executable has, as far as they take default arguments.
static constexpr llama_example VERBS[] = {LLAMA_EXAMPLE_SERVER, LLAMA_EXAMPLE_CLI, LLAMA_EXAMPLE_COMPLETION,
                                          LLAMA_EXAMPLE_EMBEDDING, LLAMA_EXAMPLE_PERPLEXITY};
static constexpr int SECONDS = 20;  // for a handler; the slowest reads a large chat template

// Flags of Ingot itself that may be baked in, with the number of their values.
static const std::map<std::string, size_t> OWN = {{"--deterministic", 0}, {"--gpu", 1}, {"--llamafile", 0}, {"--nocompile", 0}, {"--require-gpu", 0}};
// Those that make sense on a command line only.
static const Args COMMAND_LINE_ONLY = {"--recompile", "--iq",      "--force",  "--cache-dir", "--nvcc",    "--hipcc",
                                       "--host-compiler", "--server", "--chat", "--cli",    "--licenses"};

static const std::string HELP = "'help serve' and 'help complete' of an executable say what it takes";

struct Verb {
    llama_example                  id;
    std::unique_ptr<common_params> params;
    Args                           accepted;  // of the arguments under judgement
};

// An option as one verb knows it.
struct Known {
    Verb *             verb;
    const common_arg * option;
    size_t             values;
    bool               positive;
};

static std::vector<Verb> engine_verbs() {
    std::vector<Verb> verbs;
    for (const auto id : VERBS) {
        auto params = std::make_unique<common_params>();
        common_params_parser_init(*params, id);  // the verb's defaults
        verbs.push_back({id, std::move(params), {}});
    }
    return verbs;
}

static std::vector<Known> knowing(std::vector<Verb> & verbs, const std::string & word) {
    std::vector<Known> known;
    for (Verb & verb : verbs) {
        const auto flag = flags_of(verb.id).find(spelled(word));
        if (flag == flags_of(verb.id).end()) continue;
        const auto & [values, option] = flag->second;
        const bool positive = std::find(option->args.begin(), option->args.end(), flag->first) != option->args.end();
        known.push_back({&verb, option, values, positive});
    }
    return known;
}

[[noreturn]] static void refuse_unknown(std::vector<Verb> & verbs, const std::string & word) {
    if (word.empty() || word[0] != '-') {
        throw Failure(EXIT_USAGE, "'" + word + "' is no option", "only options can be default arguments; quote a value that has spaces");
    }
    std::map<std::string, size_t> flags;
    for (const Verb & verb : verbs) {
        for (const auto & [spelling, flag] : flags_of(verb.id)) flags[spelling] = flag.values;
    }
    const std::string hint = hint_for_unknown(word, flags);
    if (hint.rfind("write ", 0) == 0) {
        const std::string flag = spelled(word.substr(0, word.find_first_of("= ")));
        const bool valued = hint != "write " + flag;
        throw Failure(EXIT_USAGE, "'" + word + "': " + (valued ? "the engine takes the value of " + flag + " as a word of its own"
                                                               : flag + " takes no value"), hint);
    }
    throw Failure(EXIT_USAGE, "unknown option '" + word + "'", hint.empty() ? HELP : hint);
}

[[noreturn]] static void refuse(const std::string & flag, const std::string & why) {
    throw Failure(EXIT_USAGE, flag + " cannot be a default argument", why);
}

// By what upstream's help calls the value: FNAME, FILE, PATH, DIR, FNAME:SCALE,... or a URL.
static void refuse_what_is_elsewhere(const std::string & flag, const common_arg & option) {
    const std::string hint = option.value_hint ? option.value_hint : "";
    for (const char * file : {"FNAME", "FILE", "PATH", "DIR"}) {
        if (hint.find(file) != std::string::npos) refuse(flag, "it would name a file that other machines do not have");
    }
    if (hint == "TOKEN") refuse(flag, "everybody who has the executable could read it");
    for (const char * place : {"URL", "<user>/<model>", "<repo>"}) {
        if (hint.find(place) != std::string::npos) refuse(flag, "an executable carries its model and answers by itself");
    }
}

static bool names_another_model(const common_params & params) {
    const auto named = [](const common_params_model & model) {
        return !model.hf_repo.empty() || !model.url.empty() || !model.docker_repo.empty();
    };
    return named(params.model) || named(params.mmproj) || named(params.speculative.draft.mparams);
}

// True when `text` starts as a number and goes on as something else, which the engine cuts off.
static bool ends_badly(const std::string & text) {
    char * end = nullptr;
    std::strtod(text.c_str(), &end);
    return end != text.c_str() && *end != '\0';
}

static bool is_number(const common_arg & option) {
    return option.handler_int || (option.value_hint && (std::string(option.value_hint) == "N" || std::string(option.value_hint) == "SEED"));
}

static bool is_builtin_template(const std::string & name) {
    std::vector<const char *> names((size_t) llama_chat_builtin_templates(nullptr, 0));
    llama_chat_builtin_templates(names.data(), names.size());
    return std::find(names.begin(), names.end(), name) != names.end();
}

static void need_usable_template(const std::string & text, bool jinja) {
    if (text.find_first_not_of(" \t\r\n") == std::string::npos || (!jinja && is_builtin_template(text))) return;
    const std::string fault = templates::fault({nullptr, text}, /*chat*/ true);
    if (!fault.empty()) throw std::invalid_argument(fault);
}

static void apply(const Known & known, const Args & values) {
    const common_arg & option = *known.option;
    common_params &    params = *known.verb->params;
    if (option.handler_void) option.handler_void(params);
    else if (option.handler_bool) option.handler_bool(params, known.positive);
    else if (option.handler_int) option.handler_int(params, std::stoi(values[0]));
    else if (option.handler_string) option.handler_string(params, values[0]);
    else if (option.handler_str_str) option.handler_str_str(params, values[0], values[1]);
    if (option.value_hint && std::string(option.value_hint) == "JINJA_TEMPLATE") need_usable_template(values[0], params.use_jinja);
    if (std::string(option.args.front()) == "--api-key" && is_empty_list(values[0])) throw std::invalid_argument("the API key is empty");
    if (std::string(option.args.front()) == "--port" && (params.port < 0 || params.port > 65535)) {
        throw std::out_of_range("a port is a number up to 65535");
    }
}

static constexpr const char * ENDS  = "ends";
static constexpr const char * OTHER = "names another model";

// Upstream's exceptions come with a prefix and an empty line.
static std::string first_line(std::string text) {
    if (text.rfind("error: ", 0) == 0) text.erase(0, 7);
    return text.substr(0, text.find('\n'));
}

// "" when every verb takes it.
static std::string fault_of(const std::vector<Known> & known, const Args & values) {
    if (is_number(*known[0].option) && ends_badly(values[0])) return "it is not a number";
    for (const Known & one : known) {
        try {
            apply(one, values);
        } catch (const std::exception & error) {
            const std::string what = first_line(error.what());
            if (what.rfind("sto", 0) != 0) return what;
            return dynamic_cast<const std::out_of_range *>(&error) ? "the number is too large" : "it is not a number";
        }
        if (one.verb->params->usage || one.verb->params->completion) return ENDS;
        if (names_another_model(*one.verb->params)) return OTHER;
    }
    // What the parser takes, and the engine drops in silence or crashes on later.
    const common_arg & option = *known[0].option;
    if (values.empty() || option.args.empty()) return "";
    const std::string why = value_problem(known[0].verb->id, option.args.front(), option, values);
    return why.empty() ? "" : "it " + why;
}

static std::string joined(const Args & words) {
    std::string text;
    for (const auto & word : words) text += (text.empty() ? "" : " ") + word;
    return text;
}

// In a process of its own: some handlers print and exit, and some values crash the engine.
static void judge_option(const std::vector<Known> & known, const std::string & flag, const Args & values) {
    std::string why;
    const auto  fault = os::answer_of([&] { return fault_of(known, values); }, SECONDS, why);
    if (fault && fault->empty()) return;
    const bool crashed = !fault && why.find("crash") != std::string::npos;
    if (!crashed && (!fault || *fault == ENDS)) refuse(flag, "it would end every command of the executable");
    if (fault && *fault == OTHER) refuse(flag, "an executable carries its model and answers by itself");
    throw Failure(EXIT_USAGE, joined({flag, joined(values)}) + ": " + (fault ? *fault : "the engine crashes"),
                  "'help serve' and 'help complete' of an executable say what it takes");
}

// What the engine's parser itself looks at once it has all of them.
static void judge_together(const Verb & verb) {
    std::string why;
    const auto  answer = os::answer_of([&]() -> std::string {
        Args args{"ingot", "-m", "bundle:main"};
        args.insert(args.end(), verb.accepted.begin(), verb.accepted.end());
        // As complete.cc does it. The template has been judged by itself.
        if (verb.id == LLAMA_EXAMPLE_COMPLETION) args.insert(args.end(), {"--chat-template", ""});
        auto          argv = as_argv(args);
        common_params params;
        return common_params_parse((int) args.size(), argv.data(), params, verb.id) ? "" : "refused";
    }, SECONDS, why);
    if (answer && answer->empty()) return;
    throw Failure(EXIT_USAGE, "the engine does not take these together: " + joined(verb.accepted), "leave one of them out");
}

// How many words at `at` are a flag of Ingot's own with its value; 0 for the engine's.
static size_t own_words(const Args & args, size_t at) {
    const std::string & flag = args[at];
    if (std::find(COMMAND_LINE_ONLY.begin(), COMMAND_LINE_ONLY.end(), flag) != COMMAND_LINE_ONLY.end()) {
        refuse(flag, "whoever runs the executable can give it");
    }
    const auto own = OWN.find(flag);
    if (own == OWN.end()) return 0;
    if (at + own->second >= args.size()) throw Failure(EXIT_USAGE, flag + " needs a value", HELP);
    return 1 + own->second;
}

void judge_default_args(const Args & args) {
    auto verbs = engine_verbs();
    const bool jinja = std::find(args.begin(), args.end(), "--no-jinja") == args.end();
    for (Verb & verb : verbs) verb.params->use_jinja = verb.params->use_jinja && jinja;
    for (size_t i = 0; i < args.size();) {
        if (const size_t own = own_words(args, i)) {
            i += own;
            continue;
        }
        const auto known = knowing(verbs, args[i]);
        if (known.empty()) refuse_unknown(verbs, args[i]);
        refuse_what_is_elsewhere(args[i], *known[0].option);
        const size_t end = i + 1 + known[0].values;
        if (end > args.size()) throw Failure(EXIT_USAGE, args[i] + " needs a value", HELP);
        judge_option(known, args[i], Args(args.begin() + i + 1, args.begin() + end));
        for (const Known & one : known) one.verb->accepted.insert(one.verb->accepted.end(), args.begin() + i, args.begin() + end);
        i = end;
    }
    for (const Verb & verb : verbs) judge_together(verb);
}

}  // namespace ingot
