// PTX as text: statements into words, operands, numbers and declarations.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace emulator {

// A fundamental type by its name without the dot: "s32", "f16x2", "pred".
struct Type {
    char        kind = 'b';  // the first letter
    uint32_t    bits = 32;   // of all elements; a predicate has 1
    std::string name;

    bool     is_wide() const { return bits == 64; }
    uint32_t bytes() const { return bits < 8 ? 1 : bits / 8; }
};

Type type_of(const std::string & name);

std::string without_comments(const std::string & text);
std::string without_blanks(const std::string & text);
std::vector<std::string> words(const std::string & text);
// Parts between commas that no bracket encloses, without blanks.
std::vector<std::string> split_operands(const std::string & text);
// Parts between separators.
std::vector<std::string> split(const std::string & text, char separator);

bool is_number(const std::string & text);
// The bits of a literal: an integer, or a float as 0f… (32 bits) or 0d… (64 bits), converted to `bits`.
uint64_t number(const std::string & text, uint32_t bits);

// ".global .align 8 .b8 name[1024] = {..}", or a parameter.
struct Declaration {
    std::string              space;  // "global", "shared", "const", "local", "param", "reg"
    std::string              name;
    Type                     type;
    uint64_t                 size      = 0;  // bytes, 0 of an array without a length
    uint32_t                 alignment = 1;
    std::vector<std::string> values;         // of its elements, the first ones
};

Declaration declaration(const std::string & statement);

// One instruction.
struct Statement {
    std::string              text;
    std::string              guard;          // name of a predicate, empty without
    bool                     guard_negated = false;
    std::vector<std::string> parts;          // of the opcode, between its dots
    std::vector<std::string> operands;

    const std::string & opcode() const { return parts.front(); }
    bool                has(const char * part) const;
    // The last part: of most instructions the type.
    Type type() const { return type_of(parts.back()); }
};

Statement statement(const std::string & text);

}  // namespace emulator
