#include "texts.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

#include "../error.h"
#include "../os.h"

namespace ingot {

void drop_mark(std::string & text) {
    if (text.rfind("\xEF\xBB\xBF", 0) == 0) text.erase(0, 3);
}

static std::string checked(std::istream & stream, const std::string & name) {
    std::string text{std::istreambuf_iterator<char>(stream), {}};
    if (text.find('\0') != std::string::npos) {
        throw Failure(EXIT_INPUT, name + " is not text: it holds a NUL byte", "give it as UTF-8");
    }
    drop_mark(text);
    if (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

std::string text_of_stdin() { return checked(std::cin, "standard input"); }

std::string text_of_file(const std::string & path) {
    std::ifstream stream(path, std::ios::binary);
    const int error = stream ? os::error_of_reading(path) : errno;
    if (error) throw Failure(EXIT_INPUT, "cannot open " + path + ": " + std::strerror(error), "check the path");
    return checked(stream, path);
}

}  // namespace ingot
