#include "error.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "printable.h"

namespace ingot {

static std::atomic<bool> line_open{false};

void tell_progress(const std::string & text) {
    const bool blank = text.find_first_not_of('\n') == std::string::npos;
    if (text.empty() || (blank && !line_open)) return;
    std::fputs(text.c_str(), stderr);
    line_open = text.back() != '\n';
}

void tell(const Failure & failure) {
    // In one piece: other threads may be printing.
    std::string text = std::string(line_open.exchange(false) ? "\n" : "") + "error: " + printable(failure.what()) + "\n";
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

static bool is_of_writing(int error) {
    return error == EBADF || error == ENOSPC || error == EDQUOT || error == EFBIG || error == EIO || error == EPIPE;
}

void check_output() {
    const int earlier = errno;  // of a write that failed just now, if one did
    errno = 0;
    if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return;
    const int error = errno ? errno : is_of_writing(earlier) ? earlier : 0;
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
