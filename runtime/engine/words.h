// What the engine says. Its log is kept from the terminal unless it was asked for (-v), but its first
// complaint is remembered, and becomes the reason of our own error line.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "../error.h"
#include "llama.h"

namespace ingot {

// True: the engine's messages are printed as they come. Before that they are only remembered.
void show_engine_log(bool on);
bool engine_log_shown();
// From now on errors are printed as they come: a server's, once it answers.
void show_engine_errors();

// The reason in a message of the engine's log: without the function's name and the line's end.
std::string reason_in(std::string line);

// Told by the seam that opens models: whether the last one could be opened.
void note_model(bool opened);

// The first error since the start, without the name of the function that printed it; "" when there was none.
std::string engine_complaint();

// The failure to tell when a model could not be loaded, with what the engine said about it.
Failure cannot_load();

// The failure to tell when the engine's parser did not take the arguments.
Failure not_accepted();

// The failure to tell when a verb of the engine ended with an exit code that is not 0.
Failure engine_failure();

// The failure to tell when the engine could not parse a grammar of the arguments.
Failure bad_grammar();

// Runs a verb of the engine: its failure, whether it returns or calls exit(), becomes one of ours.
int run_engine(const std::function<int()> & verb);
int run_engine(int (*verb)(int argc, char ** argv), int argc, char ** argv);

// While on, a call of exit() by the engine ends this process with a failure of ours, or with 0 and all output written.
void watch_exit(bool on);

// The engine's log is written by a thread: waits until it has written all of it.
void flush_engine_log();

}  // namespace ingot

#ifndef INGOT_INSTRUMENT
// Reached through native/seams.cmake.
extern "C" {
// fprintf in the engine's parsers: complaints on stderr are remembered, anything else is printed.
int ingot_tool_print(FILE * stream, const char * format, ...);
// printf there: the list of all options is not printed after a complaint.
int ingot_tool_usage(const char * format, ...);
// llama_log_set in llama-bench, which would drop every message.
void ingot_bench_log(ggml_log_callback callback, void * data);
}
// The engine's callback for messages of llama and ggml.
void ingot_log_callback(ggml_log_level level, const char * text, void * data);
#endif
