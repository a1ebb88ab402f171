#include "abort.h"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include "../error.h"
#include "../os.h"
#include "words.h"
#include "ggml.h"

namespace ingot {

static constexpr const char * HINT = "an option or the model does not suit it; -v shows its log";

static int this_process = 0;

// The rest of the program may be in any state, and other threads run on: nothing is unwound.
static void on_assertion(const char * message) {
    const Failure failure(EXIT_INPUT, std::string("the engine gave up: ") + message, HINT);
    if (os::process_id() == this_process) leave(failure);
    tell(failure);  // a test in a child process: abort() follows, and its parent sees that
}

static void on_terminate() {
    std::string why = "an exception of an unknown kind";
    try {
        if (const auto current = std::current_exception()) std::rethrow_exception(current);
    } catch (const Failure & failure) {
        leave(failure);
    } catch (const std::exception & error) {
        why = reason_in(error.what());
    } catch (...) {
        // of an unknown kind
    }
    leave(Failure(EXIT_INPUT, "the engine gave up: " + why, HINT));
}

void end_without_debugger() {
    // Asked by the engine wherever it would attach one; children inherit it.
    this_process = os::process_id();
    setenv("GGML_NO_BACKTRACE", "1", 1);
    ggml_set_abort_callback(on_assertion);
    std::set_terminate(on_terminate);
    os::tell_of_crashes();
}

}  // namespace ingot
