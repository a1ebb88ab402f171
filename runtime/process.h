// Child programs, started from an argument vector and never through a shell.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace ingot {

struct Command {
    std::vector<std::string> arguments;  // [0] is the program: a path, or a name looked up in PATH
    std::string              folder;     // where it runs; "" here
    std::string              log;        // file for its output, both streams; "" drops it
    std::string              temporary;  // TMPDIR for it; "" leaves that as it is
};

// How a program ended: its exit status, or 128 and more for a signal; 127 when it could not be
// started. `cpu_seconds` of it and its children.
struct Ended {
    int    status = 0;
    double cpu_seconds = 0;
};

Ended run(const Command & command);

// Runs `commands`, at most `jobs` at a time, in order; `done` is called in this thread with the
// index of each that ended and returns false to start no more. Interrupting this process ends them.
void run_all(const std::vector<Command> & commands, unsigned jobs, const std::function<bool(size_t, const Ended &)> & done);

// Standard output of a short command, at most 64 MiB of it; "" unless it ended with status 0.
std::string output_of(const std::vector<std::string> & arguments);

// The executable file `name` in `folder` or, with an empty folder, in PATH; "" when there is none.
std::string find_program(const std::string & name, const std::string & folder = "");

}  // namespace ingot
