// Texts that a verb works on, from files and standard input: UTF-8 with or without a byte order mark.
#pragma once

#include <string>

namespace ingot {

// All of standard input, or of a file: without a byte order mark and the newline that ends it, as the engine does
// for -f. Throws Failure(EXIT_INPUT) when it holds a NUL byte or cannot be read.
std::string text_of_stdin();
std::string text_of_file(const std::string & path);

// Removes a byte order mark at the start.
void drop_mark(std::string & text);

}  // namespace ingot
