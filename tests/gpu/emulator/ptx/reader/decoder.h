// A kernel's body into a program. What an opcode needs is in the executors' tables.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "../machine/program.h"
#include "../ptx.h"
#include "text.h"

namespace emulator {

// An operand and what is added to it.
struct Address {
    Operand operand;
    int64_t offset  = 0;
    bool    dynamic = false;  // an address of dynamic shared memory
};

class Decoder {
public:
    Decoder(Kernel & kernel, Program & program) : kernel_(kernel), program_(program) {}

    void decode(const std::string & body);

    // For the executors. `wide` says which slots a literal gets; a register has its own.
    Operand source(const std::string & text, bool wide);
    Operand predicate(const std::string & text);
    Operand destination(const std::string & text);  // "_" is a register that nobody reads
    // Of "{%r1, %r2}", or of one operand.
    std::vector<Operand> sources(const std::string & text, bool wide);
    std::vector<Operand> destinations(const std::string & text);
    Operand              constant(uint64_t value, bool wide);
    // "[%rd1+16]", or the same without brackets.
    Address address(const std::string & text);
    bool    is_register(const std::string & text) const { return find(text) != nullptr; }

    [[noreturn]] void fail(const std::string & what) const;

private:
    struct Register {
        uint32_t offset;
        bool     wide;
    };

    const Register * find(const std::string & name) const;
    uint32_t         new_register(bool wide);
    void             declare_registers(const std::string & statement);
    void             declare_variable(const std::string & statement);
    const Symbol *   symbol(const std::string & name);
    size_t           label(const std::string & body, const std::string & name, size_t at);
    void             add(const std::string & statement);
    void             add_branch(const Statement & from, Instruction & into);
    void             add_guard(const Statement & from, Instruction & into);
    void             resolve_branches();
    void             place_dynamic_shared();

    Kernel &  kernel_;
    Program & program_;
    std::vector<std::unordered_map<std::string, Register>>     scopes_;
    std::map<std::pair<uint64_t, bool>, uint32_t>              constants_;
    std::unordered_map<std::string, Symbol>                    symbols_;
    std::unordered_map<std::string, uint32_t>                  labels_;
    std::unordered_map<std::string, std::vector<std::string>>  label_lists_;  // .branchtargets
    std::vector<std::pair<uint32_t, std::string>>              branches_;     // instruction -> label or list
    std::string                                                current_;      // statement
};

}  // namespace emulator
