// What another llama.cpp has left in the environment.
#pragma once

namespace ingot {

// Removes variables of the environment that another llama.cpp has left: empty ones, and those that would name a
// model or where to get one, since this program's command line does that. Says so of the latter.
void clean_environment();

}  // namespace ingot
