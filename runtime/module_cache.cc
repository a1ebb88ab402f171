#include "module_cache.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <stdexcept>

namespace ingot {

using Create = os::PrivateFolder::Create;

static constexpr uint64_t LOG_LIMIT = 1 << 20;
static constexpr size_t   REASON_LIMIT = 500;
static const char *       REMEDY = "; set INGOT_CACHE or --cache-dir to a folder of your own to keep compiled modules";

// A caller that passes anything else is wrong, and it would become part of a path.
static const std::string & checked(const std::string & key) {
    if (!is_key(key)) throw std::invalid_argument("not a cache key: " + key);
    return key;
}

// Paths and compilers' words may hold anything; what is told is one line.
static std::string one_line(std::string text) {
    for (char & c : text) {
        if ((unsigned char) c < ' ' || c == 127) c = ' ';
    }
    return text.substr(0, REASON_LIMIT);
}

static std::string variable(const char * name) {
    const char * value = std::getenv(name);
    return value ? value : "";
}

// --- where ---

std::string ModuleCache::place(const std::optional<std::string> & option, std::string & why) {
    if (option) {
        if (option->empty()) why = "--cache-dir is empty";
        return *option;
    }
    const std::string own = variable("INGOT_CACHE");
    if (!own.empty()) {
        // It would mean another folder wherever the program is started.
        if (own[0] != '/') why = one_line("INGOT_CACHE=" + own + " is not an absolute path");
        return own[0] == '/' ? own : "";
    }
    const std::string xdg = variable("XDG_CACHE_HOME");
    if (!xdg.empty() && xdg[0] == '/') return xdg + "/ingot";  // relative: ignored, says the specification
    const std::string home = os::home_folder(why);
    return home.empty() ? "" : home + "/.cache/ingot";
}

ModuleCache ModuleCache::open(const std::optional<std::string> & option, Access access, std::string & why) {
    ModuleCache cache;
    if (access == Access::read) cache.read_only_ = "the cache was opened to read only";
    const Create create = access == Access::write ? Create::yes : Create::no;
    const auto   path   = place(option, why);
    auto         root   = path.empty() ? std::nullopt : os::PrivateFolder::open(path, create, why);
    auto         inner  = root ? root->folder("modules", create, why) : std::nullopt;
    if (!why.empty()) why = one_line(why) + REMEDY;
    if (!inner) return cache;
    cache.path_ = path;
    if (access == Access::write) inner->writable(cache.read_only_);
    cache.read_only_ = one_line(cache.read_only_);
    cache.modules_.emplace(std::move(*inner), ".so");

    // These two only save time: without them compiling works as well.
    std::string ignored;
    if (auto objects = root->folder("objects", create, ignored)) cache.objects_.emplace(std::move(*objects), ".o");
    cache.scratch_ = root->folder("scratch", create, ignored);
    if (cache.writes()) {
        cache.modules_->folder().sweep();
        if (cache.objects_) cache.objects_->folder().sweep();
        if (cache.scratch_) cache.scratch_->sweep();
    }
    return cache;
}

// --- modules ---

std::optional<os::SealedFile> ModuleCache::lookup(const std::string & key, std::string & why) const {
    if (!modules_) return std::nullopt;
    os::Refusal refusal;
    auto found = modules_->read(checked(key), refusal);
    why = one_line(refusal.why);
    if (found || !refusal.bad || !writes()) return found;
    // Looked at again under the lock: meanwhile somebody may have put a sound one there. If
    // the lock is taken (perhaps by this process), its holder's store() replaces the bad one.
    std::string ignored;
    if (const auto held = lock(key, nullptr, ignored)) {
        refusal = {};
        found = modules_->read(key, refusal);
        if (refusal.bad) modules_->remove(key);
    }
    if (found) why.clear();
    return found;
}

std::optional<os::FileLock> ModuleCache::lock(const std::string & key, const os::Waiting & waiting, std::string & why) const {
    if (!writes()) return std::nullopt;
    auto held = modules_->folder().lock(checked(key) + ".lock", waiting, why);
    why = one_line(why);
    return held;
}

bool ModuleCache::store(const std::string & key, const os::SealedFile & module, const std::string & about,
                        std::string & why, Sound sound) const {
    if (!writes()) {
        why = read_only_;
        return false;
    }
    os::Refusal ignored;
    const bool  there = sound == Sound::keep && modules_->read(checked(key), ignored);
    const bool  kept = there || modules_->write(key, module, about, why);
    if (kept) forget_failure(key);
    why = one_line(why);
    return kept;
}

std::optional<std::string> ModuleCache::about(const std::string & key, std::string & why) const {
    if (!modules_) return std::nullopt;
    os::Refusal refusal;
    const auto  record = modules_->record(checked(key), refusal);
    why = one_line(refusal.why);
    return record ? std::optional(record->about) : std::nullopt;
}

// --- failures: "failed KEY", the reason on a line, an empty line, the log ---

static std::string failure_title(const std::string & key) { return "failed " + key + "\n"; }

bool ModuleCache::remember_failure(const std::string & key, const std::string & reason, const std::string & log,
                                   std::string & why) const {
    if (!writes()) return false;
    std::string text = failure_title(checked(key)) + one_line(reason) + "\n\n";
    text += log.size() > LOG_LIMIT ? log.substr(log.size() - LOG_LIMIT) : log;
    const bool kept = modules_->folder().publish(key + ".log", {{text.data(), text.size()}}, why);
    why = one_line(why);
    return kept;
}

std::optional<PastFailure> ModuleCache::failure(const std::string & key) const {
    if (!modules_ || modules_->has(checked(key))) return std::nullopt;
    // A record that is not sound is none: then it is tried once more.
    os::Refusal ignored;
    const auto  file = modules_->folder().file(key + ".log", 2 * LOG_LIMIT, ignored);
    if (!file) return std::nullopt;
    const std::string title = failure_title(key);
    std::string start(std::min<uint64_t>(file->size, title.size() + REASON_LIMIT + 1), '\0');
    const size_t end = file->read(0, start.data(), start.size()) ? start.find('\n', title.size()) : std::string::npos;
    if (end == std::string::npos || start.compare(0, title.size(), title) != 0) return std::nullopt;
    return PastFailure{start.substr(title.size(), end - title.size()), modules_->folder().path() + "/" + key + ".log"};
}

void ModuleCache::forget_failure(const std::string & key) const {
    if (writes()) modules_->folder().remove(checked(key) + ".log");
}

// --- objects and scratch ---

std::optional<os::SealedFile> ModuleCache::object(const std::string & key, std::string & why) const {
    if (!objects_) return std::nullopt;
    os::Refusal refusal;
    auto        found = objects_->read(checked(key), refusal);
    why = one_line(refusal.why);
    if (refusal.bad && writes()) objects_->remove(key);
    return found;
}

bool ModuleCache::store_object(const std::string & key, const os::SealedFile & object, std::string & why) const {
    if (!writes() || !objects_) return false;
    const bool kept = objects_->write(checked(key), object, "", why);
    why = one_line(why);
    return kept;
}

std::optional<os::TemporaryFolder> ModuleCache::scratch(uint64_t bytes, std::string & why) const {
    std::vector<std::string> places;
    if (scratch_ && writes()) places.push_back(scratch_->path());
    const std::string tmpdir = variable("TMPDIR");
    if (!tmpdir.empty() && tmpdir[0] == '/') places.push_back(tmpdir);
    places.insert(places.end(), {"/tmp", "/dev/shm"});
    for (const auto & place : places) {
        std::string reason;
        auto made = os::make_temporary_folder(place, reason);
        if (made && os::available_bytes(place) >= bytes) return made;
        if (reason.empty()) reason = place + " has less than " + std::to_string(bytes) + " bytes free";
        if (why.empty()) why = one_line(reason);
    }
    return std::nullopt;
}

// --- for doctor ---

std::vector<CachedModule> ModuleCache::list() const {
    std::vector<CachedModule> all;
    if (!modules_) return all;
    const auto found = modules_->keys();
    std::set<std::string> keys(found.begin(), found.end());
    for (const auto & name : modules_->folder().names()) {
        if (name.size() == 68 && name.substr(64) == ".log" && is_key(name.substr(0, 64))) keys.insert(name.substr(0, 64));
    }
    for (const auto & key : keys) {
        CachedModule module{key, std::nullopt, "", failure(key)};
        os::Refusal refusal;
        module.record  = modules_->record(key, refusal);
        module.problem = one_line(refusal.why);
        all.push_back(std::move(module));
    }
    return all;
}

}  // namespace ingot
