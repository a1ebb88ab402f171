// One launch as a program; with nothing but MODULE it decodes all kernels and prints their names:
//   launch MODULE KERNEL GRID BLOCK [--shared BYTES] [--cooperative] [--buffer NAME=FILE]... [PARAMETER]...
// GRID and BLOCK are "X" or "X,Y,Z". A buffer has a file's bytes, and the file has its bytes afterwards. A parameter is
// made of fields, joined by commas: u8=, i32=, u64=, f32=, pad=BYTES, pointer=NAME[+BYTES] and, for an array of pointers in
// device memory, pointers=NAME+BYTES:NAME+BYTES. Prints the number of warp instructions.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "failure.h"
#include "interpreter.h"
#include "memory.h"

using namespace emulator;

static std::vector<std::string> split(const std::string & text, char separator) {
    std::vector<std::string> parts(1);
    for (char character : text) {
        if (character == separator) parts.emplace_back();
        else parts.back() += character;
    }
    return parts;
}

static std::string contents(const std::string & path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail("cannot read " + path);
    return {std::istreambuf_iterator<char>(file), {}};
}

static Size size_of(const std::string & text) {
    const auto parts  = split(text, ',');
    const auto number = [&](size_t i) { return i < parts.size() ? static_cast<uint32_t>(std::strtoul(parts[i].c_str(), nullptr, 10)) : 1; };
    return {number(0), number(1), number(2)};
}

// Device memory, aligned as a device's allocations are.
class Buffers {
public:
    uint64_t add(const std::string & name, const std::string & bytes) {
        Buffer made{std::string(), bytes.size(), static_cast<char *>(std::aligned_alloc(256, (bytes.size() + 511) / 256 * 256))};
        std::memcpy(made.data, bytes.data(), bytes.size());
        memory().add(reinterpret_cast<uint64_t>(made.data), bytes.size(), 0);
        return reinterpret_cast<uint64_t>((all_[name] = made).data);
    }

    void load(const std::string & name, const std::string & path) {
        add(name, contents(path));
        all_[name].path = path;
    }

    // Of "NAME+BYTES".
    uint64_t pointer(const std::string & text) {
        const auto parts = split(text, '+');
        if (!all_.count(parts[0])) fail("no buffer " + parts[0]);
        return reinterpret_cast<uint64_t>(all_[parts[0]].data) + (parts.size() > 1 ? std::strtoull(parts[1].c_str(), nullptr, 10) : 0);
    }

    uint64_t list(const std::string & text) {
        std::string bytes;
        for (const auto & each : split(text, ':')) {
            const uint64_t address = pointer(each);
            bytes.append(reinterpret_cast<const char *>(&address), sizeof address);
        }
        return add("list of " + text, bytes);
    }

    void write_back() const {
        for (const auto & [name, buffer] : all_) {
            if (!buffer.path.empty()) std::ofstream(buffer.path, std::ios::binary).write(buffer.data, static_cast<std::streamsize>(buffer.size));
        }
    }

private:
    struct Buffer {
        std::string path;
        uint64_t    size = 0;
        char *      data = nullptr;
    };
    std::map<std::string, Buffer> all_;
};

template <class T> void append(std::string & to, T value) { to.append(reinterpret_cast<const char *>(&value), sizeof value); }

static std::string parameter(Buffers & buffers, const std::string & text) {
    std::string bytes;
    for (const auto & field : split(text, ',')) {
        const size_t      equals = field.find('=');
        const std::string kind = field.substr(0, equals), value = field.substr(equals + 1);
        if (kind == "u8") append(bytes, static_cast<uint8_t>(std::strtoul(value.c_str(), nullptr, 0)));
        else if (kind == "i32") append(bytes, static_cast<int32_t>(std::strtoll(value.c_str(), nullptr, 0)));
        else if (kind == "u64") append(bytes, static_cast<uint64_t>(std::strtoull(value.c_str(), nullptr, 0)));
        else if (kind == "f32") append(bytes, std::strtof(value.c_str(), nullptr));
        else if (kind == "pad") bytes.append(std::strtoul(value.c_str(), nullptr, 10), '\0');
        else if (kind == "pointer") append(bytes, buffers.pointer(value));
        else if (kind == "pointers") append(bytes, buffers.list(value));
        else fail("no field of the kind " + kind);
    }
    return bytes;
}

static void decode_all(const Module & module) {
    for (const auto & name : module.kernel_names()) {
        module.kernel(name)->program();
        std::puts(name.c_str());
    }
}

int main(int argc, char ** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() == 1) {
        decode_all(Module(contents(words[0]), 0));
        return 0;
    }
    if (words.size() < 4) fail("usage: launch MODULE KERNEL GRID BLOCK [OPTION]... [PARAMETER]...");
    Module  module(contents(words[0]), 0);
    Buffers buffers;
    Launch  launch;
    launch.kernel = module.kernel(words[1]);
    if (!launch.kernel) fail("no kernel " + words[1]);
    launch.grid = size_of(words[2]), launch.block = size_of(words[3]);
    std::vector<std::string> parameters;
    for (size_t i = 4; i < words.size(); ++i) {
        if (words[i] == "--cooperative") launch.cooperative = true;
        else if (words[i] == "--shared") launch.dynamic_shared = static_cast<uint32_t>(std::stoul(words[++i]));
        else if (words[i] == "--buffer") {
            const size_t equals = words[++i].find('=');
            buffers.load(words[i].substr(0, equals), words[i].substr(equals + 1));
        } else parameters.push_back(parameter(buffers, words[i]));
    }
    if (parameters.size() != launch.kernel->parameters.size()) fail("not as many parameters as " + words[1] + " has");
    std::vector<const void *> arguments;
    for (size_t i = 0; i < parameters.size(); ++i) {
        parameters[i].resize(launch.kernel->parameters[i].size);
        arguments.push_back(parameters[i].data());
    }
    launch.arguments               = arguments.data();
    launch.limits.shared_per_block = 96 * 1024;
    std::printf("%llu\n", static_cast<unsigned long long>(run(launch)));
    buffers.write_back();
}
