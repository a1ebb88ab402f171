#include "gpu_module.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "../error.h"
#include "../process.h"
#include "../sha256.h"
#include "ggml-backend-impl.h"

namespace ingot::gpu {

namespace fs = std::filesystem;

// Raised when what a module exports, or how it is loaded, changes.
static constexpr int MODULE_ABI = 1;

static std::string digest(const std::string & text) { return sha256_hex(text.data(), text.size()); }

static std::string read_file(const fs::path & path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

static void write_file(const fs::path & path, const std::string & text) {
    std::ofstream stream(path, std::ios::binary);
    stream << text;
    stream.close();
    if (!stream) throw Failure(EXIT_TOOLCHAIN, path.string() + ": cannot be written: is the disk full?", "choose another place with --cache-dir");
}

// Of every file below `folder`, names and contents.
static std::string folder_digest(const std::string & folder) {
    Strings lines;
    for (const auto & entry : fs::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file()) continue;
        lines.push_back(digest(read_file(entry.path())) + " " + fs::relative(entry.path(), folder).generic_string() + "\n");
    }
    std::sort(lines.begin(), lines.end());
    std::string all;
    for (const auto & line : lines) all += line;
    return digest(all);
}

static std::string join(const Strings & words) {
    std::string text;
    for (const auto & word : words) text += word + "\n";
    return text;
}

static std::string toolchain_identity(const ModuleRequest & request) {
    return std::string(request.backend->name) + "\n" + request.toolkit.version + "\n" + request.toolkit.host_version + "\n" + std::to_string(MODULE_ABI) + "\n" +
           std::to_string(GGML_BACKEND_API_VERSION) + "\n";
}

// What every unit's object depends on besides its own text and flags.
struct Common {
    UnitPlan    plan;
    std::string identity;

    explicit Common(const ModuleRequest & request) : plan(request.backend->plan(request)) {
        std::string text = folder_digest(request.sources) + toolchain_identity(request) + join(plan.defines);
        for (const auto & file : plan.files) text += file.name + "\n" + file.text;
        identity = digest(text);
    }
};

static Strings unit_flags(const ModuleRequest & request, const UnitPlan & plan, const Unit & unit) {
    Strings flags = request.backend->flags(request, unit.ending);
    for (const auto & define : plan.defines) flags.push_back("-D" + define);
    return flags;
}

static std::string key_of(const ModuleRequest & request, const Common & common) {
    std::string text = common.identity + common.plan.header;
    for (const auto & unit : common.plan.units) text += unit.name + "\n" + unit.source + join(unit_flags(request, common.plan, unit));
    return digest(text);
}

std::string module_key(const ModuleRequest & request) { return key_of(request, Common(request)); }

// The first line that names an error, for the one line that the user sees.
static std::string first_error(const fs::path & log) {
    std::istringstream lines(read_file(log));
    std::string line, last;
    while (std::getline(lines, line)) {
        if (line.find("error") != std::string::npos || line.find("fatal") != std::string::npos) return line;
        if (!line.empty()) last = line;
    }
    return last.empty() ? "it printed nothing" : last;
}

[[noreturn]] static void fail(const std::string & what, const Ended & how, const fs::path & log) {
    if (how.status == 127) throw Failure(EXIT_TOOLCHAIN, what + " could not be started");
    if (how.status > 128) throw Failure(EXIT_TOOLCHAIN, what + " was ended by signal " + std::to_string(how.status - 128), "see " + log.string());
    throw Failure(EXIT_TOOLCHAIN, what + " failed: " + first_error(log), "see " + log.string());
}

// A compilation of one module in a scratch folder.
class Build {
  public:
    Build(const ModuleRequest & request, const Progress & progress)
        : request_(request), progress_(progress), common_(request), units_(fs::path(request.scratch) / "units") {
        std::error_code ignored;  // told when the first file in it cannot be written
        fs::create_directories(units_, ignored);
        write_file(units_ / "ingot_kernels.h", common_.plan.header);
        for (const auto & unit : common_.plan.units) write_file(units_ / file_of(unit), unit.source);
        for (const auto & file : common_.plan.files) write_file(units_ / file.name, file.text);
    }

    Module make() {
        const auto start = std::chrono::steady_clock::now();
        module_.key      = key_of(request_, common_);
        module_.units    = common_.plan.units.size();
        module_.left_out = common_.plan.left_out;
        compile();
        if (request_.backend->stubs) write_stubs();
        link();
        module_.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        return module_;
    }

  private:
    // Not the plain name: the unit would include itself instead of upstream's file.
    static std::string base(const Unit & unit) { return "unit-" + unit.name; }
    static std::string file_of(const Unit & unit) { return base(unit) + "." + unit.ending; }
    fs::path object(const Unit & unit) const { return units_ / (base(unit) + ".o"); }

    std::string object_key(const Unit & unit) const {
        const std::string header = unit.name == "entry" ? common_.plan.header : "";
        return digest(common_.identity + join(unit_flags(request_, common_.plan, unit)) + unit.name + "\n" + unit.source + header);
    }

    Command compilation(const Unit & unit) const {
        Strings arguments = request_.backend->driver(request_.toolkit);
        append(arguments, unit_flags(request_, common_.plan, unit));
        for (const auto & folder : request_.backend->include_folders) arguments.push_back("-I" + request_.sources + "/" + folder);
        append(arguments, {"-I" + units_.string(), "-c", file_of(unit), "-o", base(unit) + ".o"});
        return command(arguments, unit.name);
    }

    static void append(Strings & list, const Strings & more) { list.insert(list.end(), more.begin(), more.end()); }

    // Temporary files of compilers go where everything else does, and go with it.
    Command command(const Strings & arguments, const std::string & name) const {
        return {arguments, units_.string(), log(name).string(), request_.scratch};
    }

    fs::path log(const std::string & name) const { return units_ / (name + ".log"); }

    double work(const Unit & unit) const { return compile_seconds(unit) * request_.architectures.size(); }

    // What those that are being compiled have behind them: half of it, on average. `waiting` is started in
    // order, as many at a time as there are jobs.
    double work_begun(const std::vector<const Unit *> & waiting, const std::vector<bool> & ended) const {
        double sum = 0;
        unsigned running = 0;
        for (size_t i = 0; i < waiting.size() && running < request_.jobs; ++i) {
            if (!ended[i]) sum += work(*waiting[i]) / 2, ++running;
        }
        return sum;
    }

    void compile() {
        std::vector<Command> commands;
        std::vector<const Unit *> waiting;
        Advance advance;
        advance.units = module_.units;
        advance.work  = compile_seconds(common_.plan) * request_.architectures.size();
        double finished = 0;
        for (const auto & unit : common_.plan.units) {
            if (request_.take_object && request_.take_object(object_key(unit), object(unit).string())) {
                ++advance.done, finished += work(unit);
                continue;
            }
            commands.push_back(compilation(unit));
            waiting.push_back(&unit);
        }
        module_.compiled  = waiting.size();
        advance.work_done = finished;
        progress_(advance);
        std::vector<bool> ended(waiting.size());
        const Unit * failed = nullptr;
        Ended how;
        run_all(commands, request_.jobs, [&](size_t index, const Ended & end) {
            module_.cpu_seconds += end.cpu_seconds;
            if (end.status != 0) {
                if (!failed) failed = waiting[index], how = end;
                return false;
            }
            const Unit & unit = *waiting[index];
            if (request_.keep_object) request_.keep_object(object_key(unit), object(unit).string());
            module_.unit_seconds[unit.name] = end.cpu_seconds;
            ended[index] = true;
            ++advance.done, finished += work(unit);
            advance.name      = unit.name;
            advance.work_done = finished + work_begun(waiting, ended);
            progress_(advance);
            return true;
        });
        if (failed) fail(request_.backend->compiler + (", compiling " + failed->name) + ",", how, log(failed->name));
    }

    // Which symbols of the backend a unit needs and which it has, by nm.
    struct Symbols {
        std::set<std::string> defined, needed;
    };

    Symbols symbols(const Unit & unit) const {
        Symbols found;
        std::istringstream lines(output_of({request_.toolkit.nm, "-P", object(unit).string()}));
        std::string name, kind, rest;
        while (lines >> name >> kind && std::getline(lines, rest)) {
            const bool ours = name.find("ggml_cuda_") != std::string::npos || name.find("ggml_backend_cuda_context") != std::string::npos ||
                              name.find("mul_mat_f_cuda") != std::string::npos;
            if (name.compare(0, 2, "_Z") != 0 || !ours) continue;
            if (kind == "U") found.needed.insert(name);
            else if (kind != "t" && kind != "b" && kind != "d" && kind != "r") found.defined.insert(name);
        }
        return found;
    }

    void write_stubs() {
        std::set<std::string> defined, missing;
        std::map<std::string, std::set<std::string>> needed;
        for (const auto & unit : common_.plan.units) {
            const Symbols found = symbols(unit);
            defined.insert(found.defined.begin(), found.defined.end());
            needed[unit.name] = found.needed;
        }
        if (defined.empty()) throw Failure(EXIT_TOOLCHAIN, request_.toolkit.nm + ", which lists the names in an object, is missing or finds none", "install binutils");
        for (const auto & [unit, names] : needed) {
            for (const auto & name : names) {
                if (!defined.count(name)) missing.insert(name), module_.stubs[unit].insert(name);
            }
        }
        write_file(units_ / "stubs.cc", stub_source(missing));
        Strings arguments = request_.backend->host_driver(request_.toolkit);
        append(arguments, {"-O2", "-fPIC", "-c", "stubs.cc", "-o", "stubs.o"});
        const Ended how = run(command(arguments, "stubs"));
        if (how.status != 0) fail("the host compiler, compiling stubs,", how, log("stubs"));
    }

    // A question whether kernels can be used is answered with no; a call that entry.cc should have
    // made impossible ends the program with the name of what is missing.
    static std::string stub_source(const std::set<std::string> & names) {
        std::string text = "extern \"C\" void ggml_abort(const char *, int, const char *, ...);\n";
        size_t number = 0;
        for (const auto & name : names) {
            const bool question = name.find("should_use") != std::string::npos || name.find("_supported") != std::string::npos ||
                                  name.find("pipeline_init") != std::string::npos;
            const std::string function = "ingot_stub_" + std::to_string(number++);
            text += "extern \"C\" __attribute__((visibility(\"hidden\"))) long " + function + "(void) __asm__(\"" + name + "\");\n" +
                    "extern \"C\" long " + function + "(void) { " +
                    (question ? "" : "ggml_abort(\"" + name + "\", 0, \"this kernel was left out of the module\"); ") + "return 0; }\n";
        }
        return text;
    }

    void link() {
        const Backend & backend = *request_.backend;
        module_.path = (fs::path(request_.scratch) / backend.module).string();
        write_file(units_ / "exports", backend.exports);
        Strings arguments = backend.driver(request_.toolkit);
        append(arguments, backend.link_flags(request_));
        append(arguments, {"-o", module_.path});
        for (const auto & unit : common_.plan.units) arguments.push_back(base(unit) + ".o");
        if (backend.stubs) arguments.push_back("stubs.o");
        append(arguments, backend.libraries(request_.toolkit));
        const Ended how = run(command(arguments, "link"));
        module_.cpu_seconds += how.cpu_seconds;
        if (how.status != 0) fail("linking the module", how, log("link"));
    }

    const ModuleRequest & request_;
    const Progress &      progress_;
    const Common          common_;
    const fs::path        units_;
    Module                module_;
};

double compile_seconds(const ModuleRequest & request) {
    return compile_seconds(request.backend->plan(request)) * request.architectures.size();
}

Module make_module(const ModuleRequest & request, const Progress & progress) { return Build(request, progress).make(); }

}  // namespace ingot::gpu
