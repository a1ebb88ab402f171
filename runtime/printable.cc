#include "printable.h"

#include <cstdint>
#include <cstdio>

namespace ingot {

// The character that begins at `at`, and its length in bytes; 0 when it is not UTF-8 there
// (also when overlong, a surrogate or beyond U+10FFFF).
static size_t decode(const std::string & text, size_t at, uint32_t & character) {
    const auto byte = [&](size_t i) { return at + i < text.size() ? (uint8_t) text[at + i] : (uint8_t) 0; };
    const uint8_t first = byte(0);
    if (first < 0x80) {
        character = first;
        return 1;
    }
    const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4) return 0;
    character = first & (0x7Fu >> length);
    for (size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return 0;
        character = character << 6 | (byte(i) & 0x3Fu);
    }
    const uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
    const bool surrogate = character >= 0xD800 && character <= 0xDFFF;
    return character < least || surrogate || character > 0x10FFFF ? 0 : length;
}

static bool is_harmful(uint32_t c) {
    const auto within = [c](uint32_t from, uint32_t to) { return c >= from && c <= to; };
    return c < 0x20 || within(0x7F, 0x9F) || c == 0xAD || c == 0x61C || within(0x200B, 0x200F) || within(0x2028, 0x202E) ||
           within(0x2060, 0x206F) || c == 0xFEFF || within(0xFFF9, 0xFFFB) || within(0xE0000, 0xE007F);
}

static std::string escape(uint32_t c) {
    if (c == '\n') return "\\n";
    if (c == '\r') return "\\r";
    if (c == '\t') return "\\t";
    char text[16];
    std::snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned) c);
    return text;
}

static std::string escaped(const std::string & text, const std::string & kept, const std::string & dropped) {
    std::string safe;
    for (size_t at = 0; at < text.size();) {
        uint32_t character = 0;
        const size_t length = decode(text, at, character);
        const bool plain = kept.find(text[at]) != std::string::npos || (length > 0 && !is_harmful(character));
        if (plain) safe += text.substr(at, length);
        else if (dropped.find(text[at]) == std::string::npos) safe += escape(length == 0 ? (uint8_t) text[at] : character);
        at += length == 0 ? 1 : length;
    }
    return safe;
}

std::string printable(const std::string & text) { return escaped(text, "", ""); }

std::string printable_text(const std::string & text) { return escaped(text, "\n\t", "\f\r"); }

}  // namespace ingot
