// The one kind of failure a user sees: what is wrong, what to do next, and the exit code.
// Thrown anywhere and caught in main() alone, or, where the engine cannot be unwound, told on the spot.
#pragma once

#include <stdexcept>
#include <string>

namespace ingot {

enum Exit { EXIT_DONE = 0, EXIT_NO = 1, EXIT_USAGE = 2, EXIT_INPUT = 3, EXIT_INTEGRITY = 5, EXIT_TOOLCHAIN = 6, EXIT_GPU = 7 };

struct Failure : std::runtime_error {
    Failure(Exit code, const std::string & message, std::string hint = "")
        : std::runtime_error(message), code(code), hint(std::move(hint)) {}
    Exit        code;
    std::string hint;
};

// Prints the two lines. Control characters in them are escaped: names and reasons come from files.
void tell(const Failure & failure);

// Prints a piece of progress on stderr; an error that follows begins a line of its own.
void tell_progress(const std::string & text);

// Tells and ends this process at once, from any thread: nothing is unwound and no destructor runs.
[[noreturn]] void leave(const Failure & failure);

// Throws Failure when something that was printed could not be written.
void check_output();

// The same where nothing can be thrown: leaves.
void leave_unless_written();

}  // namespace ingot
