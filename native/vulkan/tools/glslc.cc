// A glslc for upstream's shader generator: compute shaders to SPIR-V through glslang. It knows the
// arguments that vulkan-shaders-gen and upstream's feature tests pass, and no others:
//   -fshader-stage=compute --target-env=vulkan1.2|vulkan1.3 FILE -o OUT [-O] [-g] [-MD -MF FILE] [-DNAME=VALUE]
// -O is accepted and does nothing: drivers optimise what they are given.
//
// From the environment:
//   INGOT_SHADERS      a file with the names of wanted shaders, one per line. An OUT whose name
//                      without .spv is not in it becomes a placeholder: SPIR-V with that name and
//                      nothing else, which ../loader.cc never hands to a driver.
//   INGOT_SPIRV_CACHE  a folder that belongs to these sources and this program: what was compiled
//                      with the same arguments before is taken from there.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "SPIRV/GlslangToSpv.h"
#include "glslang/Public/ResourceLimits.h"
#include "glslang/Public/ShaderLang.h"

namespace fs = std::filesystem;

namespace {

struct Options {
    std::string input, output, target = "vulkan1.2", depfile;
    std::vector<std::string> definitions;
};

[[noreturn]] void fail(const std::string & message) {
    std::cerr << "glslc: error: " << message << "\n";
    std::exit(1);
}

bool starts(const std::string & text, const std::string & with) { return text.compare(0, with.size(), with) == 0; }

Options parse(int argc, char ** argv) {
    Options options;
    const std::vector<std::string> words(argv + 1, argv + argc);
    for (size_t at = 0; at < words.size(); ++at) {
        const std::string & word = words[at];
        const auto value = [&] { return at + 1 < words.size() ? words[++at] : (fail(word + " needs a value"), word); };
        if (word == "-o") options.output = value();
        else if (word == "-MF") options.depfile = value();
        else if (starts(word, "--target-env=")) options.target = word.substr(13);
        else if (starts(word, "-D") && word.size() > 2) options.definitions.push_back(word.substr(2));
        else if (word == "-O" || word == "-g" || word == "-MD" || word == "-fshader-stage=compute") continue;
        else if (starts(word, "-")) fail("unknown argument " + word);
        else if (options.input.empty()) options.input = word;
        else fail("more than one input: " + options.input + ", " + word);
    }
    if (options.input.empty() || options.output.empty()) fail("an input and -o are needed");
    if (options.target != "vulkan1.2" && options.target != "vulkan1.3") fail("unknown target " + options.target);
    return options;
}

std::string read(const fs::path & path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail("cannot read " + path.string());
    return {std::istreambuf_iterator<char>(file), {}};
}

// Under another name first: another process may be reading, or writing the same.
void write(const fs::path & path, const std::string & data) {
    const fs::path temporary = path.string() + "." + std::to_string(getpid());
    std::ofstream file(temporary, std::ios::binary);
    file.write(data.data(), (std::streamsize) data.size());
    file.close();
    std::error_code error;
    fs::rename(temporary, path, error);
    if (!file || error) fail("cannot write " + path.string());
}

// #include "NAME": beside the including file.
class Includer : public glslang::TShader::Includer {
  public:
    explicit Includer(fs::path first) : first(std::move(first)) {}

    IncludeResult * includeLocal(const char * name, const char * from, size_t) override {
        const fs::path including = from && *from ? fs::path(from) : first;
        const fs::path path = including.parent_path() / name;
        std::error_code error;
        if (!fs::is_regular_file(path, error)) return nullptr;
        auto * text = new std::string(read(path));
        read_files.push_back(path.string());
        return new IncludeResult(path.string(), text->data(), text->size(), text);
    }

    void releaseInclude(IncludeResult * result) override {
        if (!result) return;
        delete static_cast<std::string *>(result->userData);
        delete result;
    }

    std::vector<std::string> read_files;

  private:
    fs::path first;
};

// Without names and source lines, which only a debugger reads.
std::vector<uint32_t> stripped(const std::vector<uint32_t> & words) {
    enum { HEADER = 5, SOURCE_CONTINUED = 2, LINE = 8, NO_LINE = 317, MODULE_PROCESSED = 330 };
    std::vector<uint32_t> kept(words.begin(), words.begin() + HEADER);
    for (size_t at = HEADER; at < words.size();) {
        const uint32_t op = words[at] & 0xffff, count = words[at] >> 16;
        if (count == 0 || at + count > words.size()) fail("glslang made invalid SPIR-V");
        const bool debug = (op >= SOURCE_CONTINUED && op <= LINE) || op == NO_LINE || op == MODULE_PROCESSED;
        if (!debug) kept.insert(kept.end(), words.begin() + (ptrdiff_t) at, words.begin() + (ptrdiff_t) (at + count));
        at += count;
    }
    return kept;
}

std::string bytes_of(const std::vector<uint32_t> & words) {
    return {reinterpret_cast<const char *>(words.data()), words.size() * sizeof(words[0])};
}

std::string compile(const Options & options, Includer & includer) {
    const bool newer = options.target == "vulkan1.3";
    const auto spirv = newer ? glslang::EShTargetSpv_1_6 : glslang::EShTargetSpv_1_5;
    const auto rules = static_cast<EShMessages>(EShMsgSpvRules | EShMsgVulkanRules);

    std::string preamble = "#extension GL_GOOGLE_include_directive : enable\n";
    for (std::string definition : options.definitions) {
        const size_t equals = definition.find('=');
        if (equals != std::string::npos) definition[equals] = ' ';
        preamble += "#define " + definition + "\n";
    }
    const std::string source = read(options.input);
    const char * text = source.c_str();
    const int length = (int) source.size();
    const char * name = options.input.c_str();

    glslang::InitializeProcess();
    glslang::TShader shader(EShLangCompute);
    shader.setStringsWithLengthsAndNames(&text, &length, &name, 1);
    shader.setPreamble(preamble.c_str());
    shader.setEnvInput(glslang::EShSourceGlsl, EShLangCompute, glslang::EShClientVulkan, 100);
    shader.setEnvClient(glslang::EShClientVulkan, newer ? glslang::EShTargetVulkan_1_3 : glslang::EShTargetVulkan_1_2);
    shader.setEnvTarget(glslang::EShTargetSpv, spirv);
    if (!shader.parse(GetDefaultResources(), 450, false, rules, includer)) fail(std::string(name) + "\n" + shader.getInfoLog());
    glslang::TProgram program;
    program.addShader(&shader);
    if (!program.link(rules)) fail(std::string(name) + "\n" + program.getInfoLog());

    std::vector<uint32_t> words;
    spv::SpvBuildLogger logger;
    glslang::GlslangToSpv(*program.getIntermediate(EShLangCompute), words, &logger);
    if (!logger.getAllMessages().empty()) fail(std::string(name) + "\n" + logger.getAllMessages());
    return bytes_of(stripped(words));
}

// The header and one OpString.
std::string placeholder(const std::string & name) {
    enum { MAGIC = 0x07230203, VERSION_1_5 = 0x10500, BOUND = 2, OP_STRING = 7, ID = 1 };
    std::vector<uint32_t> text(name.size() / 4 + 1);
    std::memcpy(text.data(), name.data(), name.size());
    std::vector<uint32_t> words{MAGIC, VERSION_1_5, 0, BOUND, 0, (uint32_t) (text.size() + 2) << 16 | OP_STRING, ID};
    words.insert(words.end(), text.begin(), text.end());
    return bytes_of(words);
}

bool wanted(const std::string & shader) {
    const char * list = std::getenv("INGOT_SHADERS");
    if (!list) return true;
    std::ifstream file(list);
    if (!file) fail(std::string("cannot read the list of shaders ") + list);
    for (std::string line; std::getline(file, line);) {
        if (line == shader) return true;
    }
    return false;
}

// Where the result of these arguments is kept; empty without a cache. The name of a shader stands
// for its arguments as long as the sources are the same, so a 64-bit hash is a second check.
fs::path kept_at(const Options & options) {
    const char * folder = std::getenv("INGOT_SPIRV_CACHE");
    if (!folder || options.output == "-") return {};
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    const auto add = [&](const std::string & text) {
        for (const char c : text + '\0') hash = (hash ^ (unsigned char) c) * 0x100000001b3;
    };
    add(fs::path(options.input).filename().string());
    add(options.target);
    for (const auto & definition : options.definitions) add(definition);
    char digits[17];
    std::snprintf(digits, sizeof(digits), "%016llx", (unsigned long long) hash);
    return fs::path(folder) / (fs::path(options.output).stem().string() + "-" + digits + ".spv");
}

void write_depfile(const Options & options, const Includer & includer) {
    if (options.depfile.empty()) return;
    std::string text = options.output + ": " + options.input;
    for (const auto & file : includer.read_files) text += " " + file;
    write(options.depfile, text + "\n");
}

}  // namespace

int main(int argc, char ** argv) {
    const Options options = parse(argc, argv);
    Includer includer(options.input);
    const bool to_stdout = options.output == "-";
    const fs::path kept = kept_at(options);
    std::error_code error;
    const std::string name = fs::path(options.output).stem().string();
    std::string spirv = placeholder(name);
    if (to_stdout || wanted(name)) {
        if (!kept.empty() && fs::is_regular_file(kept, error)) {
            spirv = read(kept);
        } else {
            spirv = compile(options, includer);
            if (!kept.empty()) write(kept, spirv);
        }
    }
    write_depfile(options, includer);
    if (to_stdout) std::cout.write(spirv.data(), (std::streamsize) spirv.size());
    else write(options.output, spirv);
    return 0;
}
