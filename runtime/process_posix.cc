#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>

#include "process.h"

extern char ** environ;

namespace ingot {

static constexpr size_t OUTPUT_MAX = 64 << 20;

// posix_spawn's attributes and actions, released whatever happens.
struct Setup {
    posix_spawn_file_actions_t actions;
    Setup() { posix_spawn_file_actions_init(&actions); }
    ~Setup() { posix_spawn_file_actions_destroy(&actions); }
    void open(int fd, const char * path, int flags) { posix_spawn_file_actions_addopen(&actions, fd, path, flags, 0600); }
};

static std::vector<std::string> environment(const std::string & temporary) {
    std::vector<std::string> variables;
    for (char ** variable = environ; *variable; ++variable) {
        if (temporary.empty() || std::strncmp(*variable, "TMPDIR=", 7) != 0) variables.push_back(*variable);
    }
    if (!temporary.empty()) variables.push_back("TMPDIR=" + temporary);
    return variables;
}

// Forked, not spawned: posix_spawn's change of folder needs glibc 2.29.
static pid_t start(const Command & command) {
    std::vector<char *> argv;
    for (const auto & argument : command.arguments) argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    const std::vector<std::string> variables = environment(command.temporary);
    std::vector<char *> envp;
    for (const auto & variable : variables) envp.push_back(const_cast<char *>(variable.c_str()));
    envp.push_back(nullptr);
    const char * log = command.log.empty() ? "/dev/null" : command.log.c_str();
    const pid_t child = fork();
    if (child != 0) return child;
    const int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(127);
    if (!command.folder.empty() && chdir(command.folder.c_str()) != 0) _exit(127);
    execvpe(argv[0], argv.data(), envp.data());
    _exit(127);
}

static Ended ended(int status, const rusage & usage) {
    Ended result;
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    const auto seconds = [](const timeval & t) { return (double) t.tv_sec + (double) t.tv_usec * 1e-6; };
    result.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    return result;
}

void run_all(const std::vector<Command> & commands, unsigned jobs, const std::function<bool(size_t, const Ended &)> & done) {
    std::map<pid_t, size_t> running;
    size_t next = 0;
    bool   more = true;
    while (!running.empty() || (more && next < commands.size())) {
        while (more && next < commands.size() && running.size() < jobs) {
            const pid_t child = start(commands[next]);
            if (child > 0) running[child] = next;
            else more = done(next, {127, 0});
            ++next;
        }
        if (running.empty()) continue;
        int    status = 0;
        rusage usage{};
        const pid_t child = wait4(-1, &status, 0, &usage);
        if (child < 0 && errno != EINTR) return;
        const auto found = running.find(child);
        if (found == running.end()) continue;  // some other child of this process
        const size_t index = found->second;
        running.erase(found);
        more = done(index, ended(status, usage)) && more;
    }
}

Ended run(const Command & command) {
    Ended result{127, 0};
    run_all({command}, 1, [&](size_t, const Ended & how) { result = how; return true; });
    return result;
}

std::string output_of(const std::vector<std::string> & arguments) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return "";
    std::vector<char *> argv;
    for (const auto & argument : arguments) argv.push_back(const_cast<char *>(argument.c_str()));
    argv.push_back(nullptr);
    Setup setup;
    setup.open(0, "/dev/null", O_RDONLY);
    setup.open(2, "/dev/null", O_WRONLY);
    posix_spawn_file_actions_adddup2(&setup.actions, ends[1], 1);
    pid_t child = -1;
    const int failed = posix_spawnp(&child, argv[0], &setup.actions, nullptr, argv.data(), environ);
    close(ends[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t count; !failed && (count = read(ends[0], buffer, sizeof buffer)) != 0;) {
        if (count < 0 && errno != EINTR) break;
        if (count > 0 && text.size() < OUTPUT_MAX) text.append(buffer, (size_t) count);
    }
    close(ends[0]);
    int status = 1;
    if (!failed) while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return status == 0 ? text : "";
}

static bool is_program(const std::string & path) {
    struct stat facts;
    return stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) && access(path.c_str(), X_OK) == 0;
}

std::string find_program(const std::string & name, const std::string & folder) {
    if (!folder.empty()) return is_program(folder + "/" + name) ? folder + "/" + name : "";
    const char * path = std::getenv("PATH");
    std::string rest = path ? path : "/usr/local/bin:/usr/bin:/bin";
    for (size_t at = 0; at <= rest.size();) {
        const size_t end = rest.find(':', at) == std::string::npos ? rest.size() : rest.find(':', at);
        const std::string place = rest.substr(at, end - at);
        // A relative or empty part means the current folder: nothing is run from there.
        if (!place.empty() && place[0] == '/' && is_program(place + "/" + name)) return place + "/" + name;
        at = end + 1;
    }
    return "";
}

}  // namespace ingot
