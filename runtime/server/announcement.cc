#include "announcement.h"

#include <cstdio>
#include <optional>
#include <vector>

#include "../engine/words.h"
#include "log_seams.h"

namespace ingot {

static std::optional<Announcement> announcement;
// Of the thread that runs the server, so that a request's thread never prints the line.
static thread_local std::vector<std::string> addresses;

void announce_server(const Announcement & wanted) { announcement = wanted; }

static void print_line() {
    std::string where;
    for (const auto & address : addresses) where += (where.empty() ? "" : ", ") + address + announcement->prefix;
    const char * prefix = announcement->prefix.c_str();
    const std::string page = announcement->page ? std::string(", web page at ") + prefix + "/" : "";
    std::fprintf(stderr, "%s: %s  (OpenAI API under %s/v1%s; Ctrl-C stops)\n", announcement->title.c_str(),
                 where.c_str(), prefix, page.c_str());
    std::fflush(stderr);
    show_engine_errors();
    announcement.reset();
    addresses.clear();
}

// What the engine logs when it has loaded the model and opened its sockets.
void heard_from_server(const std::string & text) {
    static const std::string LISTENING = "listening on ";
    const size_t at = text.find(LISTENING);
    if (!announcement || at == std::string::npos) return;
    addresses.push_back(text.substr(at + LISTENING.size(), text.find('\n', at) - at - LISTENING.size()));
    if (announcement->router && addresses.size() == announcement->addresses) print_line();
}

}  // namespace ingot

// A signal that comes before the task loop runs is lost, and then the server never ends. The line
// is therefore printed by the loop's own first look at the log's level.
int ingot_queue_log_level() {
    if (!ingot::addresses.empty() && ingot::announcement) ingot::print_line();
    return common_log_get_verbosity_thold();
}
