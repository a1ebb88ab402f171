#include "words.h"

#include <algorithm>
#include <cctype>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <vector>

#include "../os.h"
#include "../printable.h"
#include "log.h"

namespace ingot {

// Written by any thread of the engine.
struct Words {
    std::mutex  lock;
    bool        shown = false;
    bool        errors_shown = false;
    std::string error;  // the first line logged as an error
    std::string usage;  // what a parser of the engine printed before it gave up
};
static Words & words() {
    static auto * const kept = new Words;  // never destroyed: threads may still log at exit
    return *kept;
}
static bool running = false;       // until main() returns
static bool model_missing = false;  // the engine has tried to open a model, and could not

void show_engine_log(bool on) { words().shown = on; }

void show_engine_errors() { words().errors_shown = true; }

bool engine_log_shown() { return words().shown; }

void note_model(bool opened) { model_missing = !opened; }

std::string reason_in(std::string line) {
    const auto drop = [&](const std::string & prefix) {
        if (line.rfind(prefix, 0) == 0) line.erase(0, prefix.size());
    };
    // "llama_model_load: error loading model: ..." without the function's name and the line's end
    const size_t name = line.find(": ");
    // and "srv         start: ..." of the server
    const bool server = line.rfind("srv ", 0) == 0;
    if (name != std::string::npos && (server || line.find(' ') > name)) line.erase(0, name + 2);
    drop("error: ");
    drop("error loading model: ");
    line.erase(std::min({line.size(), line.find("\n\n"), line.find("\nnote: ")}));
    while (!line.empty() && std::isspace((unsigned char) line.back())) line.pop_back();
    std::replace(line.begin(), line.end(), '\n', ' ');
    return line;
}

static void remember(std::string & slot, const char * text) {
    std::lock_guard<std::mutex> hold(words().lock);
    if (slot.empty()) slot = reason_in(text);
}

std::string engine_complaint() {
    std::lock_guard<std::mutex> hold(words().lock);
    return words().error;
}

static bool says(const std::string & text, const char * what) { return text.find(what) != std::string::npos; }

static std::string hint_for(const std::string & reason) {
    if (says(reason, "mmap failed")) return "the model's file does not fit into this process's address space: see ulimit -v";
    if (says(reason, "alloc") || says(reason, "memory")) return "-c N takes a shorter context, which needs less memory";
    if (says(reason, "too long") || says(reason, "context")) return "-c N sets the context, in tokens";
    return "-v shows the engine's log";
}

static Failure input_failure(const std::string & what, const std::string & reason) {
    return Failure(EXIT_INPUT, reason.empty() ? what : what + ": " + reason, hint_for(reason));
}

Failure cannot_load() { return input_failure("the engine cannot load this model", engine_complaint()); }

static std::string usage_complaint() {
    std::lock_guard<std::mutex> hold(words().lock);
    return words().usage;
}

Failure not_accepted() {
    const std::string usage = usage_complaint();
    return Failure(EXIT_USAGE, usage.empty() ? "the engine did not accept these arguments" : usage, "help COMMAND lists the engine's options");
}

Failure engine_failure() {
    const std::string reason = engine_complaint();
    if (model_missing) return cannot_load();
    if (!usage_complaint().empty()) return not_accepted();
    if (says(reason, "prompt is too long")) return Failure(EXIT_INPUT, "the " + reason, hint_for(reason));
    if (reason == "input is empty") return Failure(EXIT_USAGE, "the prompt is empty", "give one with -p TEXT, -p - or -f FILE");
    for (const char * setting : {"failed to initialize router models", "tools setup failed", "MCP starting failed", "static assets path not found"}) {
        if (says(reason, setting)) return Failure(EXIT_USAGE, reason, "help serve says what its options take");
    }
    return input_failure("the engine failed", reason);
}

Failure bad_grammar() {
    std::string reason = engine_complaint();
    const std::string prefix = "error parsing grammar: ", rest = " at";  // and what is left of it, here nothing
    if (reason.size() > rest.size() && reason.compare(reason.size() - rest.size(), rest.size(), rest) == 0) {
        reason.erase(reason.size() - rest.size());
    }
    const std::string why = reason.rfind(prefix, 0) == 0 ? ": " + reason.substr(prefix.size()) : "";
    return Failure(EXIT_USAGE, "the grammar cannot be parsed" + why, "--grammar and --grammar-file take GBNF, and -j a JSON schema");
}

void flush_engine_log() {
#ifndef INGOT_INSTRUMENT
    try {
        common_log_flush(common_log_main());
    } catch (const std::exception &) {
        // no memory for the thread that it starts again
    }
#endif
}

// The engine's tools call exit() where they fail: so does its parser, and llama-bench everywhere.
static void on_exit(int code) {
    if (!running) return;
    running = false;
    if (code != 0) leave(engine_failure());
    leave_unless_written();
}

void watch_exit(bool on) {
    static const bool once = (os::at_exit(on_exit), true);
    (void) once;
    running = on;
}

int run_engine(const std::function<int()> & verb) {
    const int code = verb();
    flush_engine_log();
    if (code != 0) throw engine_failure();
    return EXIT_DONE;
}

int run_engine(int (*verb)(int argc, char ** argv), int argc, char ** argv) {
    return run_engine([&] { return verb(argc, argv); });
}

static std::string text_of(const char * format, va_list args) {
    va_list again;
    va_copy(again, args);
    const int size = std::vsnprintf(nullptr, 0, format, args);
    std::vector<char> text((size_t) (size < 0 ? 0 : size) + 1);
    std::vsnprintf(text.data(), text.size(), format, again);
    va_end(again);
    return text.data();
}

}  // namespace ingot

#ifndef INGOT_INSTRUMENT  // see native/seams.cmake

using ingot::words;

// The engine's own function, renamed.
void ingot_engine_log_add(common_log * log, ggml_log_level level, const char * format, ...);

// Every message of the engine comes through here. What it prints on standard output is written by a thread:
// a write that failed shows at the next message.
void common_log_add(common_log * log, ggml_log_level level, const char * format, ...) {
    va_list args;
    va_start(args, format);
    const std::string text = ingot::text_of(format, args);
    va_end(args);
    if (level == GGML_LOG_LEVEL_NONE && std::ferror(stdout)) ingot::leave_unless_written();
    if (level == GGML_LOG_LEVEL_ERROR) ingot::remember(words().error, text.c_str());
    const bool now = words().shown || (level == GGML_LOG_LEVEL_ERROR && words().errors_shown);
    // Generated text and results are passed on as they are; the log quotes names and keys of a model.
    if (level == GGML_LOG_LEVEL_NONE) ingot_engine_log_add(log, level, "%s", text.c_str());
    else if (now) ingot_engine_log_add(log, level, "%s", ingot::printable_text(text).c_str());
}

void ingot_log_callback(ggml_log_level level, const char * text, void * data) {
    // As in the engine's own callback, whose information is its tracing.
    const int verbosity = level == GGML_LOG_LEVEL_ERROR  ? LOG_LEVEL_ERROR
                          : level == GGML_LOG_LEVEL_WARN ? LOG_LEVEL_WARN
                          : level == GGML_LOG_LEVEL_NONE ? LOG_LEVEL_OUTPUT
                          : level == GGML_LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : LOG_LEVEL_TRACE;
    if (verbosity <= common_log_get_verbosity_thold()) common_log_add(common_log_main(), level, "%s", text);
}

static void only_remember(ggml_log_level level, const char * text, void *) {
    if (level == GGML_LOG_LEVEL_ERROR) ingot::remember(words().error, text);
}

void ingot_bench_log(ggml_log_callback, void *) { llama_log_set(only_remember, nullptr); }

static bool begins(const std::string & text, const char * with) { return text.rfind(with, 0) == 0; }

int ingot_tool_print(FILE * stream, const char * format, ...) {
    va_list args;
    va_start(args, format);
    const std::string text = ingot::text_of(format, args);
    va_end(args);
    if (stream == stderr) {
        const bool last = std::strcmp(format, "%s\n") == 0;  // an exception's text, before exit(1)
        if (begins(text, "error")) ingot::remember(words().usage, text.c_str());
        else if (last || text.find("error") != std::string::npos) ingot::remember(words().error, text.c_str());
        else if (words().shown || !(begins(text, "warn: ") || begins(text, "Read "))) std::fputs(text.c_str(), stderr);
        return (int) text.size();
    }
    std::fputs(text.c_str(), stream);
    if (stream == stdout) ingot::leave_unless_written();
    return (int) text.size();
}

int ingot_tool_usage(const char * format, ...) {
    va_list args;
    va_start(args, format);
    const std::string text = ingot::text_of(format, args);
    va_end(args);
    if (words().usage.empty()) std::fputs(text.c_str(), stdout);
    return (int) text.size();
}

#endif
