// The one kind of failure a user sees: what is wrong, what to do next, and the exit code.
// Thrown anywhere, caught in main() alone.
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

}  // namespace ingot
