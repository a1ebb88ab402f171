// The line that says where a server answers: printed once, when /health would answer 200.
#pragma once

#include <cstddef>
#include <string>

namespace ingot {

struct Announcement {
    std::string title;      // the model's name
    std::string prefix;     // --api-prefix
    size_t      addresses;  // how many the server listens on
    bool        page;       // there is a web page
    bool        router;     // there is no task loop to wait for
};

// The engine's server, started afterwards in this thread, is announced on stderr. Without this call
// it starts in silence.
void announce_server(const Announcement & announcement);

}  // namespace ingot
