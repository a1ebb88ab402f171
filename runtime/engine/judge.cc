#include "judge.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>

#include "../bundle.h"
#include "../error.h"
#include "../os.h"
#include "../seams.h"
#include "preset.h"
#include "ranges.h"
#include "words.h"

namespace ingot {

// Options that name files to read, and so are not tried: a pipe can be read once only.
static const std::set<std::string> FILES = {"-f", "-bf", "-sysf", "--in-file", "-jf", "--grammar-file", "--chat-template-file", "--api-key-file",
                                            "--ui-config-file", "--mcp-servers-config", "-lcs"};
static const std::set<std::string> FILE_LISTS = {"--lora", "--control-vector", "--image"};
static const std::set<std::string> SCALED_LISTS = {"--lora-scaled", "--control-vector-scaled"};
static const std::set<std::string> MODELS = {"-m", "--spec-draft-model", "-mm"};
// Options whose handler opens or writes something.
static const std::set<std::string> UNTRIED = {"--log-file", "--log-prompts-dir", "--rpc"};

static void check_file(const std::string & path) {
    if (const int error = os::error_of_reading(path)) {
        throw Failure(EXIT_INPUT, "cannot open " + path + ": " + std::strerror(error), "check the path");
    }
}

static void check_model(const std::string & path) {
    const os::File file(path);  // throws when it can't be opened
    char magic[4] = {0};
    if (file.size() >= sizeof magic) file.read(0, magic, sizeof magic);
    if (std::memcmp(magic, "GGUF", sizeof magic) != 0) {
        throw Failure(EXIT_INPUT, path + " is not a GGUF", "-m takes a model in GGUF format");
    }
}

// An entry of this executable, or the executable itself, by whose path the carried projector is named.
static bool is_carried(const std::string & name) {
    return name.rfind("bundle:", 0) == 0 || (own_bundle() && name == own_bundle()->file.path());
}

static void check_files(const std::string & option, const std::string & value) {
    const bool scaled = SCALED_LISTS.count(option) > 0;
    if (FILES.count(option)) check_file(value);
    if (MODELS.count(option) && !is_carried(value)) check_model(value);
    if (!scaled && !FILE_LISTS.count(option)) return;
    std::istringstream list(value);
    for (std::string path; std::getline(list, path, ',');) {
        if (scaled) path.erase(std::min(path.size(), path.rfind(':')));
        if (!path.empty() && !is_carried(path) && path[0] != '"') check_file(path);
    }
}

// What the engine's handler thinks of the value; its parameters are thrown away.
static std::string handler_problem(const common_arg & option, const Args & values) {
    common_params scratch;
    try {
        if (option.handler_int) option.handler_int(scratch, std::stoi(values.at(0)));
        else if (option.handler_string) option.handler_string(scratch, values.at(0));
        else if (option.handler_str_str) option.handler_str_str(scratch, values.at(0), values.at(1));
        return "";
    } catch (const std::exception & error) {
        // "stoi" and the like are the names of functions that do not say what they expect.
        const std::string what = error.what();
        const bool says = what != "invalid value" && what.rfind("sto", 0) != 0;
        return "does not take '" + values.at(0) + "'" + (says ? ": " + reason_in(what) : "");
    }
}

// A list of the accepted words in the option's hint: "{none,mean,cls}", "[on|off]".
static std::string accepted(const common_arg & option) {
    const std::string hint = option.value_hint ? option.value_hint : "";
    const bool list = !hint.empty() && (hint[0] == '{' || hint.find('|') != std::string::npos);
    return list ? "; it takes " + hint : "";
}

static std::string value_problem(llama_example verb, const std::string & name, const common_arg & option, const Args & values) {
    if (verb == LLAMA_EXAMPLE_SERVER && name == "-np" && values[0] == "-1") return "";  // as many as it likes
    const std::string range = values.size() == 1 ? range_problem(name, values[0], option.handler_int != nullptr) : "";
    if (!range.empty()) return range;
    if (FILES.count(name) || UNTRIED.count(name)) return "";
    const std::string handler = handler_problem(option, values);
    return handler.empty() ? "" : handler + accepted(option);
}

static std::string hint_for_unknown(llama_example verb, const std::string & word) {
    const size_t equals = word.find('=');
    const std::string name = spelled(word.substr(0, equals));
    if (equals != std::string::npos && flags_of(verb).count(name)) return "write " + name + " " + word.substr(equals + 1);
    Args flags;
    for (const auto & [spelling, flag] : flags_of(verb)) flags.push_back(spelling);
    const std::string nearest = nearest_flag(name, flags);
    return nearest.empty() ? "help COMMAND lists those of the engine" : "did you mean " + nearest + "?";
}

void judge_words(llama_example verb, const Args & args, const std::string & from) {
    for (const Group & group : grouped(verb, args)) {
        const std::string & word = group.words.front();
        const std::string origin = from.empty() ? "" : "it is one of " + from;
        if (!group.option) throw Failure(EXIT_USAGE, "unknown option '" + word + "'", hint_for_unknown(verb, word));
        if (group.words.size() < 1 + flags_of(verb).at(spelled(word)).values) throw Failure(EXIT_USAGE, word + " needs a value", origin);
        const Args values(group.words.begin() + 1, group.words.end());
        if (values.empty()) continue;
        if (const std::string why = value_problem(verb, group.name(), *group.option, values); !why.empty()) {
            throw Failure(EXIT_USAGE, word + " " + why, origin.empty() ? "help COMMAND says more about each option" : origin);
        }
        check_files(group.name(), values[0]);
    }
}

// A truth value as the engine reads it from its environment.
static bool is_truth(const std::string & value) {
    return common_arg_utils::is_truthy(value) || common_arg_utils::is_falsey(value);
}

static std::string variable_problem(llama_example verb, const common_arg & option, const std::string & value) {
    if (option.handler_bool && !is_truth(value)) return "takes on or off, not '" + value + "'";
    if (!option.value_hint) return "";
    return value_problem(verb, option.args.empty() ? "" : option.args.front(), option, {value});
}

void judge_environment(llama_example verb) {
    for (const common_arg & option : options_of(verb)) {
        std::string value;
        if (!option.get_value_from_env(value)) continue;
        const std::string why = variable_problem(verb, option, value);
        if (!why.empty()) throw Failure(EXIT_USAGE, std::string(option.env) + " " + why, "change or unset that variable of the environment");
        if (option.value_hint && !option.args.empty()) check_files(option.args.front(), value);
    }
}

// Where the engine looks for settings of every program of llama.cpp (common/arg.cpp).
static std::vector<std::filesystem::path> settings_files() {
    std::vector<std::filesystem::path> paths{"/etc/llama.cpp/config.ini"};
    try {
        paths.push_back(fs_get_config_directory() / "config.ini");
    } catch (const std::exception &) {
        // no home
    }
    std::error_code error;
    paths.erase(std::remove_if(paths.begin(), paths.end(), [&](const auto & path) { return !std::filesystem::exists(path, error); }), paths.end());
    return paths;
}

static void judge_preset(llama_example verb, const common_preset & preset, const std::string & file) {
    for (const auto & [option, value] : preset.options) {
        const std::string name = option.args.empty() ? "" : option.args.front();
        const std::string why = option.value_hint ? value_problem(verb, name, option, {value}) : "";
        if (!why.empty()) throw Failure(EXIT_USAGE, file + ": " + name + " " + why, "correct that line, or remove it");
    }
}

void judge_settings(llama_example verb) {
    for (const auto & path : settings_files()) {
        common_preset_context context(verb);
        context.ignore_unknown_keys = true;
        common_preset global;
        common_presets presets;
        try {
            presets = context.load_from_ini(path, global);
        } catch (const std::exception & error) {
            throw Failure(EXIT_USAGE, path.string() + ": " + error.what(), "correct it, or move it away");
        }
        judge_preset(verb, global, path.string());
        if (const auto usual = presets.find(COMMON_PRESET_DEFAULT_NAME); usual != presets.end()) judge_preset(verb, usual->second, path.string());
    }
}

void judge_bench(const Args & args) {
    for (size_t i = 0; i + 1 < args.size(); ++i) {
        const std::string why = bench_range_problem(args[i], args[i + 1]);
        if (!why.empty()) throw Failure(EXIT_USAGE, args[i] + " " + why, "help bench lists its options");
    }
}

}  // namespace ingot
