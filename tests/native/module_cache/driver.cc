// Drives the module cache from the command line, for test_module_cache.py:
//   driver [--cache-dir DIR] VERB [ARGUMENT ...]
// Results are lines on stdout, "WORD VALUE"; each line that a user would see is "note TEXT".
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <functional>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

#include "module_cache.h"

using namespace ingot;
using Words = std::vector<std::string>;

static void say(const char * word, const std::string & value) {
    std::printf("%s %s\n", word, value.c_str());
    std::fflush(stdout);
}

static void note(const std::string & why) {
    if (!why.empty()) say("note", why);
}

static void wait_for_line() {
    while (true) {
        const int c = std::getchar();
        if (c == '\n' || c == EOF) return;
    }
}

static os::SealedFile sealed(const std::string & path) {
    std::string why;
    auto file = os::SealedFile::copy(path, why);
    if (file) return std::move(*file);
    note(why);
    std::exit(3);
}

static void say_found(const std::optional<os::SealedFile> & found) {
    found ? say("found", found->sha256()) : say("nothing", "");
}

static void lookup(const ModuleCache & cache, const Words & words) {
    std::string why;
    const auto found = cache.lookup(words.at(0), why);
    note(why);
    say_found(found);
}

static void store(const ModuleCache & cache, const Words & words) {
    std::string why;
    const bool kept = cache.store(words.at(0), sealed(words.at(1)), words.size() > 2 ? words[2] : "", why);
    note(why);
    say(kept ? "kept" : "lost", "");
}

static void replace(const ModuleCache & cache, const Words & words) {
    std::string why;
    const bool kept = cache.store(words.at(0), sealed(words.at(1)), "", why, ModuleCache::Sound::replace);
    note(why);
    say(kept ? "kept" : "lost", "");
}

// What an executable does at its first start: KEY, the file that "the compiler" makes, a file
// that gets a line per compilation.
static void build(const ModuleCache & cache, const Words & words) {
    std::string why;
    auto found = cache.lookup(words.at(0), why);
    note(why);
    if (found) return say_found(found);
    why.clear();
    const auto lock = cache.lock(words[0], [](double) { return true; }, why);
    note(why);
    why.clear();
    if (lock) found = cache.lookup(words[0], why);
    note(why);
    if (found) return say_found(found);
    const int counter = open(words.at(2).c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (write(counter, "compiled\n", 9) != 9) std::exit(3);
    close(counter);
    usleep(50000);
    const auto made = sealed(words.at(1));
    why.clear();
    cache.store(words[0], made, "{}", why);
    note(why);
    say("found", made.sha256());
}

static void hold(const ModuleCache & cache, const Words & words) {
    std::string why;
    const auto lock = cache.lock(words.at(0), nullptr, why);
    note(why);
    say(lock ? "held" : "busy", "");
    wait_for_line();
}

// Waits for the lock for so many seconds.
static void wait_for_lock(const ModuleCache & cache, const Words & words) {
    std::string  why;
    const double limit = std::atof(words.at(1).c_str());
    bool         told  = false;
    const auto   lock  = cache.lock(words.at(0), [&](double waited) {
        if (!told) say("waiting", "");
        told = true;
        return waited < limit;
    }, why);
    note(why);
    say(lock ? "held" : "busy", "");
}

// Looks up, lets the test do its worst to the file, and then says what it holds.
static void keep(const ModuleCache & cache, const Words & words) {
    std::string why;
    const auto found = cache.lookup(words.at(0), why);
    note(why);
    say_found(found);
    wait_for_line();
    if (!found) return;
    const bool changed = pwrite(found->fd(), "x", 1, 0) >= 0 || ftruncate(found->fd(), 0) == 0 ||
                         mmap(nullptr, 1, PROT_WRITE, MAP_SHARED, found->fd(), 0) != MAP_FAILED;
    say(changed ? "changed" : "sealed", "");
    say_found(found);
}

static void load(const ModuleCache & cache, const Words & words) {
    std::string why;
    const auto found = cache.lookup(words.at(0), why);
    note(why);
    if (!found) return say("nothing", "");
    void * library = dlopen(found->path().c_str(), RTLD_NOW | RTLD_LOCAL);
    auto * answer  = library ? reinterpret_cast<int (*)()>(dlsym(library, "answer")) : nullptr;
    say("answer", answer ? std::to_string(answer()) : dlerror());
}

static void fail(const ModuleCache & cache, const Words & words) {
    std::string why;
    const bool kept = cache.remember_failure(words.at(0), words.at(1), words.at(2), why);
    note(why);
    say(kept ? "kept" : "lost", "");
}

static void failure(const ModuleCache & cache, const Words & words) {
    const auto past = cache.failure(words.at(0));
    say("reason", past ? past->reason : "");
    say("log", past ? past->log_path : "");
}

static void list(const ModuleCache & cache, const Words &) {
    for (const auto & module : cache.list()) {
        say("key", module.key);
        if (module.record) say("about", module.record->about);
        if (!module.problem.empty()) say("problem", module.problem);
        if (module.failure) say("failure", module.failure->reason);
    }
}

// A folder to compile in, with so many bytes free, held until a line comes.
static void scratch(const ModuleCache & cache, const Words & words) {
    std::string why;
    const auto folder = cache.scratch(std::strtoull(words.at(0).c_str(), nullptr, 10), why);
    note(why);
    say("scratch", folder ? folder->path() : "");
    wait_for_line();
}

static void object(const ModuleCache & cache, const Words & words) {
    std::string why;
    const auto found = cache.object(words.at(0), why);
    note(why);
    say_found(found);
    if (found && words.size() > 1 && !found->write_to(words[1], why)) note(why);
}

static void store_object(const ModuleCache & cache, const Words & words) {
    std::string why;
    say(cache.store_object(words.at(0), sealed(words.at(1)), why) ? "kept" : "lost", "");
    note(why);
}

static void about(const ModuleCache & cache, const Words & words) {
    std::string why;
    const auto text = cache.about(words.at(0), why);
    note(why);
    say("about", text.value_or(""));
}

static void forget(const ModuleCache & cache, const Words & words) { cache.forget_failure(words.at(0)); }

static void show(const ModuleCache & cache, const Words &) { say(cache.keeps() ? "keeps" : "forgets", cache.folder()); }

int main(int argc, char ** argv) {
    static const std::map<std::string, void (*)(const ModuleCache &, const Words &)> VERBS = {
        {"lookup", lookup}, {"store", store},     {"build", build},     {"hold", hold},       {"wait", wait_for_lock},
        {"keep", keep},     {"load", load},       {"fail", fail},       {"failure", failure}, {"list", list},
        {"object", object}, {"scratch", scratch}, {"about", about},     {"replace", replace}, {"forget", forget},
        {"show", show},     {"store-object", store_object}};
    Words words(argv + 1, argv + argc);
    std::optional<std::string> dir;
    auto access = ModuleCache::Access::write;
    if (words.at(0) == "--read") {
        access = ModuleCache::Access::read;
        words.erase(words.begin());
    }
    if (words.at(0) == "--cache-dir") {
        dir = words.at(1);
        words.erase(words.begin(), words.begin() + 2);
    }
    std::string why;
    const auto cache = ModuleCache::open(dir, access, why);
    note(why);
    VERBS.at(words.at(0))(cache, Words(words.begin() + 1, words.end()));
    return 0;
}
