#include "error.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "printable.h"

namespace ingot {

void tell(const Failure & failure) {
    // In one piece: other threads may be printing.
    std::string text = "error: " + printable(failure.what()) + "\n";
    if (!failure.hint.empty()) text += "hint: " + printable(failure.hint) + "\n";
    std::fputs(text.c_str(), stderr);
    std::fflush(stderr);
}

void leave(const Failure & failure) {
    tell(failure);
    std::_Exit(failure.code);
}

static std::string output_hint(int error) {
    if (error == EPIPE) return "whatever read it has ended";
    if (error == EBADF) return "it is closed: redirect it to a file or to /dev/null";
    return "make room on the disk, or write elsewhere";
}

void check_output() {
    errno = 0;
    if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return;
    const int error = errno;  // 0 when an earlier write failed
    throw Failure(EXIT_INPUT, std::string("cannot write to standard output") + (error ? std::string(": ") + std::strerror(error) : ""),
                  output_hint(error));
}

void leave_unless_written() {
    try {
        check_output();
    } catch (const Failure & failure) {
        leave(failure);
    }
}

}  // namespace ingot
