#include "text.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>

#include "../failure.h"

namespace emulator {

static bool is_blank(char character) { return std::isspace(static_cast<unsigned char>(character)) != 0; }
static bool is_digit(char character) { return std::isdigit(static_cast<unsigned char>(character)) != 0; }

Type type_of(const std::string & name) {
    Type type;
    type.name = name;
    type.kind = name.empty() ? 'b' : name[0];
    if (name == "pred") return {'p', 1, name};
    if (name == "bf16") return {'f', 16, name};
    if (name == "bf16x2") return {'f', 32, name};
    if (name == "tf32") return {'f', 32, name};
    if (name.size() > 3 && name[0] == 'e' && name.find("x2") != std::string::npos) {
        return {'e', name.rfind("e2m1", 0) == 0 ? 8u : 16u, name};
    }
    const size_t digit = name.find_first_of("0123456789");
    if (digit == 1) type.bits = static_cast<uint32_t>(std::strtoul(name.c_str() + 1, nullptr, 10));
    const size_t by = name.find('x');
    if (digit == 1 && by != std::string::npos) {
        type.bits *= static_cast<uint32_t>(std::strtoul(name.c_str() + by + 1, nullptr, 10));
    }
    return type;
}

std::string without_comments(const std::string & text) {
    std::string kept;
    kept.reserve(text.size());
    for (size_t at = 0; at < text.size(); ++at) {
        if (text.compare(at, 2, "//") == 0) {
            at = std::min(text.find('\n', at), text.size());
            kept += '\n';
        } else if (text.compare(at, 2, "/*") == 0) {
            const size_t end = text.find("*/", at + 2);
            at               = end == std::string::npos ? text.size() : end + 1;
        } else {
            kept += text[at];
        }
    }
    return kept;
}

std::string without_blanks(const std::string & text) {
    std::string kept;
    for (char character : text) {
        if (!is_blank(character)) kept += character;
    }
    return kept;
}

std::vector<std::string> words(const std::string & text) {
    std::vector<std::string> found;
    for (size_t at = 0; at < text.size();) {
        size_t end = at;
        while (end < text.size() && !is_blank(text[end])) ++end;
        if (end > at) found.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return found;
}

std::vector<std::string> split(const std::string & text, char separator) {
    std::vector<std::string> parts(1);
    for (char character : text) {
        if (character == separator) {
            parts.emplace_back();
        } else {
            parts.back() += character;
        }
    }
    return parts;
}

std::vector<std::string> split_operands(const std::string & text) {
    std::vector<std::string> parts;
    std::string              part;
    int                      depth = 0;
    for (char character : text) {
        if (std::strchr("{[(", character)) ++depth;
        if (std::strchr("}])", character)) --depth;
        if (character == ',' && depth == 0) {
            parts.push_back(part);
            part.clear();
        } else if (!is_blank(character)) {
            part += character;
        }
    }
    if (!part.empty()) parts.push_back(part);
    return parts;
}

bool is_number(const std::string & text) {
    if (text.empty()) return false;
    return is_digit(text[0]) || (text[0] == '-' && text.size() > 1 && is_digit(text[1]));
}

uint64_t number(const std::string & text, uint32_t bits) {
    const bool is_float  = text.size() == 10 && text[0] == '0' && (text[1] == 'f' || text[1] == 'F');
    const bool is_double = text.size() == 18 && text[0] == '0' && (text[1] == 'd' || text[1] == 'D');
    if (!is_float && !is_double) {
        if (text[0] == '-') return static_cast<uint64_t>(std::strtoll(text.c_str(), nullptr, 0));
        return std::strtoull(text.c_str(), nullptr, 0);
    }
    const uint64_t pattern = std::strtoull(text.c_str() + 2, nullptr, 16);
    if (is_float == (bits == 32)) return pattern;
    if (is_float) {
        float        narrow;
        const auto   half = static_cast<uint32_t>(pattern);
        uint64_t     result;
        std::memcpy(&narrow, &half, sizeof narrow);
        const double wide = narrow;
        std::memcpy(&result, &wide, sizeof result);
        return result;
    }
    double   wide;
    uint32_t result;
    std::memcpy(&wide, &pattern, sizeof wide);
    if (bits != 32) return pattern;
    const float narrow = static_cast<float>(wide);
    std::memcpy(&result, &narrow, sizeof result);
    return result;
}

// The length in elements, and the text without its brackets.
static uint64_t take_length(std::string & text, bool & is_array) {
    uint64_t count = 1;
    for (size_t open = text.find('['); open != std::string::npos; open = text.find('[')) {
        const size_t close = text.find(']', open);
        count *= std::strtoull(text.c_str() + open + 1, nullptr, 10);
        text.erase(open, close - open + 1);
        is_array = true;
    }
    return count;
}

Declaration declaration(const std::string & statement) {
    static const char * const spaces[] = {"global", "shared", "const", "local", "param", "reg"};
    static const char * const ignored[] = {"visible", "extern", "weak", "common", "ptr", "attribute(.managed)"};

    Declaration  made;
    const size_t equals   = statement.find('=');
    std::string  head     = statement.substr(0, equals);
    bool         is_array = false;
    const auto   count    = take_length(head, is_array);
    const auto   all      = words(head);
    for (size_t i = 0; i < all.size(); ++i) {
        const std::string word = all[i][0] == '.' ? all[i].substr(1) : "";
        const auto is_word = [&](const char * other) { return word == other; };
        if (word == "align" && i + 1 < all.size()) {
            made.alignment = static_cast<uint32_t>(std::strtoul(all[++i].c_str(), nullptr, 10));
        } else if (std::any_of(std::begin(spaces), std::end(spaces), is_word)) {
            if (made.space.empty()) made.space = word;  // of ".param .u64 .ptr .global": the first
        } else if (word.empty()) {
            made.name = all[i];
        } else if (std::none_of(std::begin(ignored), std::end(ignored), is_word)) {
            made.type = type_of(word);
        }
    }
    made.size      = count * made.type.bytes();
    made.alignment = std::max(made.alignment, made.type.bytes());
    if (equals != std::string::npos) {
        std::string values = without_blanks(statement.substr(equals + 1));
        values.erase(std::remove_if(values.begin(), values.end(), [](char c) { return c == '{' || c == '}'; }), values.end());
        if (!values.empty()) made.values = split(values, ',');
    }
    return made;
}

bool Statement::has(const char * part) const { return std::find(parts.begin(), parts.end(), part) != parts.end(); }

// "mma.kind::mxf4.m16" has a part "kind::mxf4"; only single dots separate.
Statement statement(const std::string & text) {
    Statement made;
    size_t    at = text.find_first_not_of(" \t\n");
    made.text    = text.substr(at);
    if (text[at] == '@') {
        const size_t end = text.find_first_of(" \t\n", at);
        made.guard       = text.substr(at + 1, end - at - 1);
        if (made.guard[0] == '!') {
            made.guard_negated = true;
            made.guard.erase(0, 1);
        }
        at = text.find_first_not_of(" \t\n", end);
    }
    if (at == std::string::npos) fail("a statement without an instruction: " + text);
    const size_t end = std::min(text.find_first_of(" \t\n", at), text.size());
    made.parts       = split(text.substr(at, end - at), '.');
    made.operands    = split_operands(text.substr(end));
    return made;
}

}  // namespace emulator
