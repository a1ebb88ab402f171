#include "args.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <sstream>

#include "error.h"
#include "hub.h"
#include "os.h"
#include "seams.h"
#include "verbs/table.h"

namespace ingot {

static const std::map<std::string, std::string> VERB_FLAGS = {
    {"--server", "serve"}, {"--chat", "chat"}, {"--cli", "complete"}, {"--version", "version"}, {"--licenses", "licenses"}};

bool has_flag(const Args & args, std::initializer_list<const char *> spellings) {
    return std::any_of(args.begin(), args.end(), [&](const std::string & arg) {
        return std::find(spellings.begin(), spellings.end(), arg) != spellings.end();
    });
}

Args take_values(Args & args, std::initializer_list<const char *> spellings) {
    Args values, kept;
    for (size_t i = 0; i < args.size(); ++i) {
        if (std::find(spellings.begin(), spellings.end(), args[i]) == spellings.end()) {
            kept.push_back(args[i]);
        } else if (i + 1 < args.size()) {
            values.push_back(args[++i]);
        } else {
            throw Failure(EXIT_USAGE, args[i] + " needs a value");
        }
    }
    args = kept;
    return values;
}

bool take_flag(Args & args, std::initializer_list<const char *> spellings) {
    const bool there = has_flag(args, spellings);
    for (const char * spelling : spellings) args.erase(std::remove(args.begin(), args.end(), spelling), args.end());
    return there;
}

static Args childs_flags() {
    const char * text = std::getenv(CHILDS_FLAGS);
    Args flags;
    std::istringstream lines(text && std::getenv("LLAMA_SERVER_ROUTER_PORT") ? text : "");
    for (std::string line; std::getline(lines, line);) flags.push_back(line);
    return flags;
}

Request parse_request(const Args & args) {
    Request request{"", args};
    if (!args.empty() && own_verbs().count(args[0])) {
        request.verb = args[0];
        request.rest.erase(request.rest.begin());
        const Args more = childs_flags();
        request.rest.insert(request.rest.end(), more.begin(), more.end());
        return request;
    }
    if (!args.empty() && !args[0].empty() && args[0][0] != '-') {
        throw Failure(EXIT_USAGE, "unknown command '" + args[0] + "'", "--help lists the commands; a prompt is given with -p TEXT");
    }
    for (const auto & [flag, verb] : VERB_FLAGS) {
        if (take_flag(request.rest, {flag.c_str()})) {
            request.verb = verb;
            // Whoever starts it as a llamafile has llamafile's clients.
            if (flag == "--server") request.rest.push_back("--llamafile");
            return request;
        }
    }
    return request;
}

bool wants_help(const Args & user) { return has_flag(user, {"-h", "--help", "--usage"}); }

bool wants_log(const Args & user) {
    return has_flag(user, {"-v", "--verbose", "-lv", "--verbosity", "--log-verbosity"});
}

bool names_other_model(const Args & user) {
    return has_flag(user, {"-m", "--model", "-mu", "--model-url", "--model_url", "-hf", "-hfr", "--hf-repo", "--hf_repo", "-dr",
                           "--docker-repo", "--docker_repo"});
}

// A flag of an engine verb: how many values it takes, and its option's first spelling.
struct Flag {
    size_t      values = 0;
    std::string option;
};

static std::map<std::string, Flag> flags_of(llama_example verb) {
    common_params params;
    std::map<std::string, Flag> flags;
    const auto context = common_params_parser_init(params, verb);
    for (const auto & option : context.options) {
        const size_t values = option.value_hint_2 ? 2 : option.value_hint ? 1 : 0;
        for (const char * spelling : option.args) flags[spelling] = {values, option.args.front()};
        for (const char * spelling : option.args_neg) flags[spelling] = {0, option.args.empty() ? spelling : option.args.front()};
    }
    return flags;
}

// One flag with its values. Of an unknown flag the option is empty, and it takes with it
// whatever follows that is no flag.
struct Group {
    std::string option;
    Args        words;
};

// The engine takes --ctx_size for --ctx-size.
static std::string spelled(std::string word) {
    if (word.rfind("--", 0) == 0) std::replace(word.begin(), word.end(), '_', '-');
    return word;
}

static std::vector<Group> grouped(const std::map<std::string, Flag> & flags, const Args & args) {
    std::vector<Group> groups;
    for (size_t i = 0; i < args.size();) {
        const auto flag = flags.find(spelled(args[i]));
        size_t end = i + 1;
        if (flag != flags.end()) {
            end = std::min(args.size(), end + flag->second.values);
        } else {
            while (end < args.size() && (args[end].empty() || args[end][0] != '-')) ++end;
        }
        groups.push_back({flag == flags.end() ? "" : flag->second.option, Args(args.begin() + i, args.begin() + end)});
        i = end;
    }
    return groups;
}

Args accepted_by(llama_example verb, const Args & args, bool inverted) {
    Args kept;
    for (const auto & group : grouped(flags_of(verb), args)) {
        if (group.option.empty() == inverted) kept.insert(kept.end(), group.words.begin(), group.words.end());
    }
    return kept;
}

Args named_options(llama_example verb, const Args & args, const std::set<std::string> & options) {
    Args kept;
    for (const auto & group : grouped(flags_of(verb), args)) {
        if (options.count(group.option)) kept.insert(kept.end(), group.words.begin(), group.words.end());
    }
    return kept;
}

// Those of `own` that the verb accepts and that nothing later in `own` or in `user` sets
// again: the engine warns about an option given twice.
static Args in_effect(llama_example verb, const Args & own, const Args & user) {
    const auto flags = flags_of(verb);
    std::set<std::string> later;
    for (const auto & group : grouped(flags, user)) later.insert(group.option);
    auto groups = grouped(flags, own);
    Args kept;
    for (auto group = groups.rbegin(); group != groups.rend(); ++group) {
        if (group->option.empty() || !later.insert(group->option).second) continue;
        kept.insert(kept.begin(), group->words.begin(), group->words.end());
    }
    return kept;
}

static Args carried(const Bundle & bundle) {
    Args args{"-m", MAIN_MODEL};
    if (bundle.manifest.first("projector")) {
        args.insert(args.end(), {"--mmproj", bundle.file.path()});
    }
    std::string loras;
    for (size_t i = 0; i < bundle.manifest.all("lora").size(); ++i) loras += (i ? "," : "") + lora_name(i);
    if (!loras.empty()) args.insert(args.end(), {"--lora", loras});
    // The plain kind, unless the author's defaults or the user name another.
    if (bundle.manifest.first("draft")) args.insert(args.end(), {"-md", DRAFT_MODEL, "--spec-type", "draft-simple"});
    return args;
}

static void check_model(const std::string & path) {
    const os::File file(path);  // throws when it can't be opened
    char magic[4] = {0};
    if (file.size() >= sizeof magic) file.read(0, magic, sizeof magic);
    if (std::memcmp(magic, "GGUF", sizeof magic) != 0) {
        throw Failure(EXIT_INPUT, path + " is not a GGUF", "-m takes a model in GGUF format");
    }
}

// What is to be fetched, and cannot be.
static void check_remote(const std::string & option, const std::string & value, const Args & user) {
    if (option == "-hf" || option == "--spec-draft-hf") {
        Args copy = user;
        const Args files = take_values(copy, {"-hff", "--hf-file", "--hf_file"});
        hub::need(value, option == "-hf" && !files.empty() ? files.back() : "");
    } else if (option == "-mu" || option == "-mmu") {
        hub::need_address(value);
    } else if (option == "-dr") {
        hub::need_address("docker:" + value);
    }
}

// What the engine would only report with exit code 1, told in our way before it starts.
static void check_user(llama_example verb, const Args & user) {
    const auto flags = flags_of(verb);
    for (const auto & group : grouped(flags, user)) {
        const std::string & word = group.words.front();
        if (group.option.empty()) {
            throw Failure(EXIT_USAGE, "unknown option '" + word + "'", "help COMMAND lists those of the engine");
        }
        if (group.words.size() < 1 + flags.at(spelled(word)).values) throw Failure(EXIT_USAGE, word + " needs a value");
        if (group.option == "-m" && group.words.size() == 2 && group.words[1].rfind("bundle:", 0) != 0) {
            check_model(group.words[1]);
        }
        if (group.words.size() == 2) check_remote(group.option, group.words[1], user);
    }
}

// What an answer may depend on beside the model and the machine: sampling, how a prompt is cut into
// batches, how work is divided between threads, what a server has computed before.
static const Args DETERMINISTIC = {"--seed", "0", "--temp", "0", "--top-k", "1", "-t", "2", "-tb", "2", "-b", "512", "-ub", "512",
                                   "-fa", "on", "-np", "1", "--no-cont-batching", "--no-cache-prompt"};
static bool deterministic = false;

void be_deterministic(bool on) { deterministic = on; }
bool is_deterministic() { return deterministic; }

Args compose(const Bundle * bundle, llama_example verb, const Args & extra, const Args & user) {
    Args own = extra;
    if (!bundle && wants_help(user)) {
        // the engine prints its options and needs no model for that
    } else if (!names_other_model(user)) {
        if (!bundle) throw Failure(EXIT_USAGE, "this runtime carries no model", "name one with -m MODEL.gguf");
        const Args mine = carried(*bundle);
        own.insert(own.begin(), mine.begin(), mine.end());
        own.insert(own.end(), bundle->manifest.default_args.begin(), bundle->manifest.default_args.end());
    }
    // Or the engine asks the network for what the cache has.
    if (has_flag(user, {"-hf", "-hfr", "--hf-repo", "--hf_repo"}) && !hub::reachable()) own.push_back("--offline");
    if (deterministic || has_flag(own, {"--deterministic"})) own.insert(own.end(), DETERMINISTIC.begin(), DETERMINISTIC.end());
    return compose_without_model(bundle, verb, own, user);
}

Args compose_without_model(const Bundle * bundle, llama_example verb, const Args & own, const Args & user) {
    check_user(verb, user);
    Args args{bundle ? bundle->manifest.name : "ingot-runtime"};
    const Args mine = in_effect(verb, own, user);
    args.insert(args.end(), mine.begin(), mine.end());
    args.insert(args.end(), user.begin(), user.end());
    return args;
}

std::vector<char *> as_argv(Args & args) {
    std::vector<char *> argv;
    for (auto & arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    return argv;
}

}  // namespace ingot
