#include "cgroups.h"

#include <optional>
#include <sstream>

namespace ingot::limits {

static std::vector<std::string> split(const std::string & text, char by) {
    std::vector<std::string> parts;
    std::istringstream rest(text);
    for (std::string part; std::getline(rest, part, by);) parts.push_back(part);
    return parts;
}

static bool lists(const std::string & names, const std::string & name) { return ("," + names + ",").find("," + name + ",") != std::string::npos; }

// This process's path in a hierarchy, of "4:memory:/a/b" or, for cgroup v2, "0::/a/b".
static std::optional<std::string> path_in(const std::string & self_cgroup, const std::string & controller) {
    for (const std::string & line : split(self_cgroup, '\n')) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string names = line.substr(first + 1, second - first - 1);
        if (controller.empty() ? names.empty() : lists(names, controller)) return line.substr(second + 1);
    }
    return std::nullopt;
}

// A path of mountinfo, in which a space is written \040.
static std::string unescaped(const std::string & word) {
    std::string text;
    for (size_t i = 0; i < word.size(); ++i) {
        if (word[i] == '\\' && i + 3 < word.size()) {
            text += (char) std::stoi(word.substr(i + 1, 3), nullptr, 8);
            i += 3;
        } else {
            text += word[i];
        }
    }
    return text;
}

struct Mount {
    std::string root, point, type, options;
};

static std::vector<Mount> mounts(const std::string & mountinfo) {
    std::vector<Mount> found;
    for (const std::string & line : split(mountinfo, '\n')) {
        const auto words = split(line, ' ');
        size_t dash = 6;
        while (dash < words.size() && words[dash] != "-") ++dash;
        if (dash + 3 < words.size()) found.push_back({unescaped(words[3]), unescaped(words[4]), words[dash + 1], words[dash + 3]});
    }
    return found;
}

// The group's path below the mount's root; "" when it lies elsewhere, as in some containers, which then
// see their own group at the mount point.
static std::string below(const std::string & root, const std::string & path) {
    if (path.find("/..") != std::string::npos || path == "/") return "";
    if (root == "/") return path;
    return path.rfind(root + "/", 0) == 0 ? path.substr(root.size()) : "";
}

static void add_up(std::vector<Group> & found, bool v2, const Mount & mount, const std::string & path) {
    for (std::string rest = below(mount.root, path);; rest.erase(rest.rfind('/'))) {
        found.push_back({v2, mount.point + rest});
        if (rest.empty()) return;
    }
}

std::vector<Group> groups(const std::string & self_cgroup, const std::string & mountinfo, const std::string & controller) {
    std::vector<Group> found;
    for (const Mount & mount : mounts(mountinfo)) {
        const bool v2 = mount.type == "cgroup2";
        if (!v2 && !(mount.type == "cgroup" && lists(mount.options, controller))) continue;
        if (const auto path = path_in(self_cgroup, v2 ? "" : controller)) add_up(found, v2, mount, *path);
    }
    return found;
}

}  // namespace ingot::limits
