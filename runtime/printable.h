// Text from a model or a manifest, made fit for a terminal.
#pragma once

#include <string>

namespace ingot {

// `text` with every character escaped that moves the cursor, reorders or hides text: C0 and C1 controls
// with DEL, line and paragraph separators, zero-width and bidirectional marks, byte order marks, and bytes that
// are not UTF-8 (as \xNN). Everything else is left as it is.
std::string printable(const std::string & text);

// The same for a text of many lines, whose line ends and tabs stay; form feeds and carriage returns go.
std::string printable_text(const std::string & text);

}  // namespace ingot
