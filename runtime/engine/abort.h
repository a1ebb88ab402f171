// How this process ends when the engine fails an assertion, an exception is caught by nobody or the
// processor raises a signal: one error line, a hint, and the end. The engine's own way is to start a
// debugger on itself where one is installed, which may never come back.
#pragma once

namespace ingot {

// From now on, in every thread and in every child process.
void end_without_debugger();

}  // namespace ingot
