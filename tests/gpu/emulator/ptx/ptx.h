// PTX modules: their text read into kernels, and each kernel's instructions when it is first needed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace emulator {

class Module;
struct Program;  // decoded instructions; program.h

struct Parameter {
    std::string name;
    uint32_t    offset = 0;  // bytes
    uint32_t    size   = 0;
};

struct Kernel {
    std::string            name;
    Module *               module = nullptr;
    std::vector<Parameter> parameters;
    uint32_t               parameter_bytes = 0;
    uint32_t               max_threads     = 0;  // of a block: .maxntid or .reqntid, 0 without
    uint32_t               min_blocks      = 0;  // .minnctapersm, 0 without

    Kernel(std::string name, Module * module, std::string body);
    ~Kernel();

    // Decoded at the first call. Fails at an instruction that no executor knows, with its name.
    const Program & program();
    uint32_t        shared_bytes();  // static
    uint32_t        local_bytes();   // of a thread

private:
    std::string              body_;
    std::once_flag           decoded_;
    std::unique_ptr<Program> program_;
};

// A variable of a module or kernel.
struct Symbol {
    enum class Space { global, shared, local, parameter } space = Space::global;
    uint64_t value   = 0;      // host address, or offset within its space
    uint64_t size    = 0;      // bytes
    bool     dynamic = false;  // extern shared memory, which follows the static
};

class Module {
public:
    // Fails where the text is not PTX. Global variables get memory of this device.
    Module(const std::string & text, int device);
    ~Module();
    Module(const Module &) = delete;

    int arch() const { return arch_; }  // 90 of ".target sm_90a"
    int device() const { return device_; }
    // nullptr without one of this name.
    Kernel *       kernel(const std::string & name) const;
    const Symbol * symbol(const std::string & name) const;
    std::vector<std::string> kernel_names() const;

private:
    friend class ModuleReader;
    int                                            arch_   = 0;
    int                                            device_ = 0;
    std::map<std::string, std::unique_ptr<Kernel>> kernels_;
    std::map<std::string, Symbol>                  symbols_;
};

// The architecture that a text is for, without reading the rest of it; 0 where it does not say.
int arch_of(const std::string & text);

}  // namespace emulator
