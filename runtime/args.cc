#include "args.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <sstream>

#include "engine/judge.h"
#include "error.h"
#include "hub.h"
#include "limits/limits.h"
#include "seams.h"
#include "verbs/table.h"

namespace ingot {

static const std::map<std::string, std::string> VERB_FLAGS = {
    {"--server", "serve"}, {"--chat", "chat"}, {"--cli", "complete"}, {"--version", "version"}, {"--licenses", "licenses"}};

using Spellings = std::initializer_list<const char *>;

static bool is_one_of(Spellings spellings, const std::string & word) {
    return std::find(spellings.begin(), spellings.end(), word) != spellings.end();
}

bool has_flag(const Args & args, Spellings spellings) {
    const auto value = are_values(args);
    for (size_t i = 0; i < args.size(); ++i) {
        if (!value[i] && is_one_of(spellings, args[i])) return true;
    }
    return false;
}

Args take_values(Args & args, Spellings spellings) {
    const auto value = are_values(args);
    Args values, kept;
    for (size_t i = 0; i < args.size(); ++i) {
        if (value[i] || !is_one_of(spellings, args[i])) {
            kept.push_back(args[i]);
        } else if (i + 1 < args.size()) {
            values.push_back(args[++i]);
        } else {
            throw Failure(EXIT_USAGE, args[i] + " needs a value", "help lists the commands and their options");
        }
    }
    args = kept;
    return values;
}

bool take_flag(Args & args, Spellings spellings) {
    const auto value = are_values(args);
    Args kept;
    for (size_t i = 0; i < args.size(); ++i) {
        if (value[i] || !is_one_of(spellings, args[i])) kept.push_back(args[i]);
    }
    const bool there = kept.size() < args.size();
    args = kept;
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

// The model that a flag without a value names, with settings for it (--gpt-oss-20b-default); "" of any other flag.
static common_params_model model_of_preset(const std::string & word) {
    const auto & flags = flags_of(LLAMA_EXAMPLE_SERVER);  // has all of them
    const auto flag = flags.find(spelled(word));
    if (flag == flags.end()) return {};
    const common_arg & option = *flag->second.option;
    if (!option.handler_void || option.help.find("can download weights") == std::string::npos) return {};
    common_params params;
    option.handler_void(params);
    return params.model;
}

static bool names_preset(const Args & user) {
    const auto value = are_values(user);
    for (size_t i = 0; i < user.size(); ++i) {
        if (!value[i] && !model_of_preset(user[i]).hf_repo.empty()) return true;
    }
    return false;
}

bool names_other_model(const Args & user) {
    return names_preset(user) || has_flag(user, {"-m", "--model", "-mu", "--model-url", "--model_url", "-hf", "-hfr", "--hf-repo", "--hf_repo", "-dr",
                                                 "--docker-repo", "--docker_repo"});
}

Args accepted_by(llama_example verb, const Args & args, bool inverted) {
    Args kept;
    for (const Group & group : grouped(verb, args)) {
        if (!group.option == inverted) kept.insert(kept.end(), group.words.begin(), group.words.end());
    }
    return kept;
}

Args named_options(llama_example verb, const Args & args, const std::set<std::string> & options) {
    Args kept;
    for (const Group & group : grouped(verb, args)) {
        if (options.count(group.name())) kept.insert(kept.end(), group.words.begin(), group.words.end());
    }
    return kept;
}

// Those of `own` that the verb accepts and that nothing later in `own` or in `user` sets
// again: the engine warns about an option given twice.
static Args in_effect(llama_example verb, const Args & own, const Args & user) {
    std::set<const common_arg *> later;
    for (const Group & group : grouped(verb, user)) later.insert(group.option);
    auto groups = grouped(verb, own);
    Args kept;
    for (auto group = groups.rbegin(); group != groups.rend(); ++group) {
        if (!group->option || !later.insert(group->option).second) continue;
        kept.insert(kept.begin(), group->words.begin(), group->words.end());
    }
    return kept;
}

static Args carried(const Bundle & bundle) {
    // No other model, whatever the engine's own settings on this machine name: nothing is fetched.
    Args args{"-m", MAIN_MODEL, "-mu", "", "-dr", "", "-hf", "", "-hff", "", "-mm", "", "-mmu", "", "-md", "", "-hfd", ""};
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

// What an answer may depend on beside the model and the machine: sampling, how a prompt is cut into
// batches, how work is divided between threads, what a server has computed before.
static const Args DETERMINISTIC = {"--seed", "0", "--temp", "0", "--top-k", "1", "-t", "2", "-tb", "2", "-b", "512", "-ub", "512",
                                   "-fa", "on", "-np", "1", "--no-cont-batching", "--no-cache-prompt"};
static bool deterministic = false;

void be_deterministic(bool on) { deterministic = on; }
bool is_deterministic() { return deterministic; }

// The engine counts the machine's cores, and waits for its threads spinning: with more of them than CPUs that this
// process may use, it is tens of times slower. Where nothing is limited the engine's own choice stands.
static Args with_threads(llama_example verb, Args own, const Args & user) {
    const limits::Cpus cpus = limits::cpus();
    const auto sets_threads = [&](const Args & args) {
        const auto groups = grouped(verb, args);
        return std::any_of(groups.begin(), groups.end(), [](const Group & group) { return group.name() == "-t"; });
    };
    const bool chosen = sets_threads(own) || sets_threads(user) || std::getenv("LLAMA_ARG_THREADS");
    if (!chosen && cpus.limited) own.insert(own.begin(), {"-t", std::to_string(cpus.threads)});
    if (wants_log(user)) {
        const std::string count = chosen ? "as set" : cpus.limited ? std::to_string(cpus.threads) : "the engine's choice";
        std::fprintf(stderr, "threads: %s (%s)\n", count.c_str(), cpus.why.c_str());
    }
    return own;
}

// The server keeps states of earlier prompts in memory, by default up to 8 GiB: in a container, an eighth of its room.
static Args with_cache_limit(llama_example verb, Args own) {
    constexpr uint64_t MIB = 1 << 20, USUAL = 8192;
    if (verb != LLAMA_EXAMPLE_SERVER || std::getenv("LLAMA_ARG_CACHE_RAM")) return own;
    const limits::Memory memory = limits::memory();
    const uint64_t share = memory.room / 8 / MIB;
    if (memory.group && share < USUAL) own.insert(own.begin(), {"-cram", std::to_string(share)});
    return own;
}

// The engine's own advice is to compile it for a GPU.
static void note_missing_gpu(llama_example verb, const Args & user) {
    static const std::set<std::string> names = {"-ngl", "-sm", "-ts", "-mg", "--spec-draft-ngl"};
    for (const Group & group : grouped(verb, user)) {
        if (!names.count(group.name()) || group.words.back() == "0" || llama_supports_gpu_offload()) continue;
        std::fprintf(stderr, "note: %s has no effect: no GPU module is loaded; --recompile makes one where there is a GPU\n",
                     group.words.front().c_str());
        return;
    }
}

// What is to be fetched, and cannot be.
static void check_remote(const std::string & option, const std::string & value, const Args & user) {
    if (value.empty()) return;
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

// What the engine would only report in its own way, told in ours before it starts. `args` is the whole vector:
// a variable of the environment that one of its options overrides is no longer set afterwards.
static void judge(llama_example verb, const Bundle * bundle, const Args & user, const Args & args) {
#ifndef INGOT_INSTRUMENT
    judge_words(verb, user);
    for (const Group & group : grouped(verb, user)) {
        if (group.words.size() == 2) check_remote(group.name(), group.words[1], user);
        const common_params_model preset = model_of_preset(group.words.front());
        if (!preset.hf_repo.empty()) hub::need(preset.hf_repo, preset.hf_file);
    }
    if (bundle && !names_other_model(user)) {
        judge_words(verb, accepted_by(verb, bundle->manifest.default_args), "this executable's own defaults, which its author chose");
    }
    for (const Group & group : grouped(verb, args)) {
        if (!group.option || !group.option->env) continue;
        std::string variable = group.option->env;
        unsetenv(variable.c_str());
        if (!group.option->args_neg.empty()) unsetenv(variable.replace(0, 10, "LLAMA_ARG_NO_").c_str());
    }
    judge_environment(verb);
    judge_settings(verb);
    note_missing_gpu(verb, user);
#endif
}

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
    if ((names_preset(user) || has_flag(user, {"-hf", "-hfr", "--hf-repo", "--hf_repo"})) && !hub::reachable()) own.push_back("--offline");
    if (deterministic || has_flag(own, {"--deterministic"})) own.insert(own.end(), DETERMINISTIC.begin(), DETERMINISTIC.end());
    return compose_without_model(bundle, verb, own, user);
}

Args compose_without_model(const Bundle * bundle, llama_example verb, const Args & own, const Args & user) {
    Args args{bundle ? bundle->manifest.name : "ingot-runtime"};
    const Args mine = in_effect(verb, with_cache_limit(verb, with_threads(verb, own, user)), user);
    args.insert(args.end(), mine.begin(), mine.end());
    args.insert(args.end(), user.begin(), user.end());
    judge(verb, bundle, user, args);
    return args;
}

std::vector<char *> as_argv(Args & args) {
    std::vector<char *> argv;
    for (auto & arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    return argv;
}

}  // namespace ingot
