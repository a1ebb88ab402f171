#include "judge.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include "../bundle.h"
#include "../error.h"
#include "../os.h"
#include "../seams.h"
#include "../src/llama-grammar.h"
#include "preset.h"
#include "ranges.h"
#include "sampling.h"
#include "words.h"

namespace ingot {

using nlohmann::json;

// Options that name files to read, and so are not tried: a pipe can be read once only.
static const std::set<std::string> FILES = {"-f", "-bf", "-sysf", "--in-file", "-jf", "--grammar-file", "--chat-template-file", "--api-key-file",
                                            "--ui-config-file", "--mcp-servers-config", "-lcs"};
static const std::set<std::string> GGUF_LISTS = {"--lora", "--control-vector"};
static const std::set<std::string> SCALED_LISTS = {"--lora-scaled", "--control-vector-scaled"};
static const std::set<std::string> MODELS = {"-m", "--spec-draft-model", "-mm"};
// Options whose handler opens or writes something.
static const std::set<std::string> UNTRIED = {"--log-file", "--log-prompts-dir", "--rpc"};

static void check_file(const std::string & path) {
    if (const int error = os::error_of_reading(path)) {
        throw Failure(EXIT_INPUT, "cannot open " + path + ": " + std::strerror(error), "check the path");
    }
}

static void check_gguf(const std::string & option, const std::string & path) {
    const os::File file(path);  // throws when it can't be opened
    char magic[4] = {0};
    if (file.size() >= sizeof magic) file.read(0, magic, sizeof magic);
    if (std::memcmp(magic, "GGUF", sizeof magic) != 0) {
        throw Failure(EXIT_INPUT, path + " is not a GGUF", option + " takes a file in GGUF format");
    }
}

// An entry of this executable, or the executable itself, by whose path the carried projector is named.
static bool is_carried(const std::string & name) {
    return name.rfind("bundle:", 0) == 0 || (own_bundle() && name == own_bundle()->file.path());
}

// Items separated by commas, without the spaces around them and without empty ones.
static Args list_of(const std::string & text) {
    std::istringstream list(text);
    Args items;
    for (std::string item; std::getline(list, item, ',');) {
        const size_t from = item.find_first_not_of(' ');
        if (from != std::string::npos) items.push_back(item.substr(from, item.find_last_not_of(' ') + 1 - from));
    }
    return items;
}

static void check_files(const std::string & option, const std::string & value) {
    const bool scaled = SCALED_LISTS.count(option) > 0;
    if (FILES.count(option)) check_file(value);
    if (MODELS.count(option) && !is_carried(value)) check_gguf(option, value);
    if (!scaled && option != "--image" && !GGUF_LISTS.count(option)) return;
    for (std::string path : list_of(value)) {
        if (scaled) path.erase(std::min(path.size(), path.rfind(':')));
        if (path.empty() || is_carried(path) || path[0] == '"') continue;
        if (option == "--image") check_file(path);
        else check_gguf(option, path);
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

static std::string unless(bool good, const std::string & what, const std::string & value) {
    return good ? "" : "takes " + what + ", not '" + value + "'";
}

// By the engine's own parser, which wants to see the vocabulary for tokens ("<think>").
static bool is_grammar(const std::string & text) {
    if (text.empty() || text[0] == '%' || text.find('<') != std::string::npos) return true;
    ggml_log_callback before = nullptr;
    void * data = nullptr;
    llama_log_get(&before, &data);
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);  // what is wrong with it is not remembered
    llama_grammar * grammar = llama_grammar_init_impl(nullptr, text.c_str(), "root", false, nullptr, 0, nullptr, 0);
    llama_log_set(before, data);
    if (grammar) llama_grammar_free_impl(grammar);
    return grammar != nullptr;
}

static bool are_samplers(const std::string & text) {
    std::istringstream names(text);
    for (std::string name; std::getline(names, name, ';');) {
        if (common_sampler_types_from_names({name}).empty()) return false;
    }
    return true;
}

// Of "KEY=int:VALUE,...", which the engine reads with atol.
static bool are_overrides(const std::string & text) {
    std::istringstream overrides(text);
    for (std::string one; std::getline(overrides, one, ',');) {
        const size_t colon = one.find(':', one.find('='));
        const std::string kind = one.substr(0, std::min(colon, one.size()));
        if (kind.size() < 4 || (kind.rfind("=int") != kind.size() - 4 && kind.rfind("float") != kind.size() - 5)) continue;
        const std::string number = colon < one.size() ? one.substr(colon + 1) : "";
        char * end = nullptr;
        std::strtod(number.c_str(), &end);
        if (number.empty() || *end != '\0') return false;
    }
    return true;
}

// `help` lists them.
static bool are_tools(const std::string & text, const std::string & help) {
    static const std::string TITLE = "available tools: ";
    const size_t at = help.find(TITLE);
    if (at == std::string::npos) return true;
    Args known = list_of(help.substr(at + TITLE.size(), help.find('\n', at) - at - TITLE.size()));
    known.push_back("all");
    const Args asked = list_of(text);
    return std::all_of(asked.begin(), asked.end(), [&](const auto & tool) { return std::find(known.begin(), known.end(), tool) != known.end(); });
}

static bool is_prefix(const std::string & text) { return text.empty() || (text.front() == '/' && text.back() != '/'); }

// Values that the engine takes and drops in silence, or gives up over later.
static std::string content_problem(const std::string & name, const common_arg & option, const std::string & value) {
    const std::string hint = option.value_hint ? option.value_hint : "";
    if (hint == "JSON") return unless(json::accept(value), "JSON", value);
    if (name == "--grammar") return unless(is_grammar(value), "a grammar in GBNF with a rule 'root'", value);
    if (name == "--samplers") return unless(are_samplers(value), "names of samplers, separated by ';'", value);
    if (name == "--sampler-seq") return unless(common_sampler_types_from_chars(value).size() == value.size(), "letters of samplers", value);
    if (name == "--override-kv") return unless(are_overrides(value), "a number for int and float", value);
    if (name == "--tools") return unless(are_tools(value, option.help), "names of tools, separated by commas; help serve lists them", value);
    if (name == "--api-prefix") return unless(is_prefix(value), "a path that begins with a slash and ends without one", value);
    return "";
}

// Of "PATTERN=BUFFER,...". The engine's handler prints those that there are, where generated text belongs.
static std::string override_problem(const std::string & value) {
    std::set<std::string> known{ggml_backend_buft_name(ggml_backend_cpu_buffer_type())};
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
        known.insert(ggml_backend_buft_name(ggml_backend_dev_buffer_type(ggml_backend_dev_get(i))));
    }
    for (const auto & item : list_of(value)) {
        const size_t equals = item.find('=');
        const std::string buffer = equals == std::string::npos ? "" : item.substr(equals + 1);
        if (!known.count(buffer)) return "takes PATTERN=BUFFER with a kind of memory that there is, not '" + item + "'";
    }
    return "";
}

std::string value_problem(llama_example verb, const std::string & name, const common_arg & option, const Args & values) {
    if (verb == LLAMA_EXAMPLE_SERVER && name == "-np" && values[0] == "-1") return "";  // as many as it likes
    const std::string range = values.size() == 1 ? range_problem(name, values[0], option.handler_int != nullptr) : "";
    if (!range.empty()) return range;
    if (FILES.count(name) || UNTRIED.count(name)) return "";
    if (name == "-ot" || name == "--spec-draft-override-tensor") {
        if (const std::string why = override_problem(values[0]); !why.empty()) return why;
    }
    const std::string handler = handler_problem(option, values);
    if (!handler.empty()) return handler + accepted(option);
    return content_problem(name, option, values[0]);
}

static std::string hint_for_unknown(llama_example verb, const std::string & word) {
    std::map<std::string, size_t> flags;
    for (const auto & [spelling, flag] : flags_of(verb)) flags[spelling] = flag.values;
    const std::string hint = hint_for_unknown(word, std::move(flags));
    return hint.empty() ? "help COMMAND lists those of the engine" : hint;
}

// For an option that names a device or its memory, where no GPU module is loaded.
static std::string hint_for_value(const std::string & name, const std::string & otherwise) {
    static const std::set<std::string> DEVICES = {"-dev", "-ot", "--spec-draft-device", "--spec-draft-override-tensor"};
    const bool device = DEVICES.count(name) && !llama_supports_gpu_offload();
    return device ? "no GPU module is loaded; --recompile makes one where there is a GPU" : otherwise;
}

void judge_words(llama_example verb, const Args & args, const std::string & from) {
    for (const Group & group : grouped(verb, args)) {
        const std::string & word = group.words.front();
        const std::string hint = from.empty() ? "help COMMAND says more about each option" : "it is one of " + from;
        if (!group.option) throw Failure(EXIT_USAGE, "unknown option '" + word + "'", hint_for_unknown(verb, word));
        if (group.words.size() < 1 + flags_of(verb).at(spelled(word)).values) throw Failure(EXIT_USAGE, word + " needs a value", hint);
        const Args values(group.words.begin() + 1, group.words.end());
        if (values.empty()) continue;
        if (const std::string why = value_problem(verb, group.name(), *group.option, values); !why.empty()) {
            throw Failure(EXIT_USAGE, word + " " + why, hint_for_value(group.name(), hint));
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
        const std::string name = option.args.empty() ? "" : option.args.front();
        if (!why.empty()) {
            throw Failure(EXIT_USAGE, std::string(option.env) + " " + why,
                          hint_for_value(name, "change or unset that variable of the environment"));
        }
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

bool is_empty_list(const std::string & text) { return text.find_first_not_of(" ,\t\r\n") == std::string::npos; }

static void judge_preset(llama_example verb, const common_preset & preset, const std::string & file) {
    for (const auto & [option, value] : preset.options) {
        const std::string name = option.args.empty() ? "" : option.args.front();
        if (name == "--api-key" && is_empty_list(value)) throw Failure(EXIT_USAGE, file + ": the API key is empty", "give one, or remove that line to let everybody in");
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
