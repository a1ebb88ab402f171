#include "failure.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "interpreter.h"

namespace emulator {

[[noreturn]] static void end(const std::string & line) {
    // Never unlocked: of two threads that fail, the first one reports.
    static std::mutex reporting;
    reporting.lock();
    std::fflush(nullptr);
    std::fputs(line.c_str(), stderr);
    std::fflush(stderr);
    if (const char * path = std::getenv("INGOT_EMULATOR_FAILURES")) {
        if (FILE * file = std::fopen(path, "a")) {
            std::fputs(line.c_str(), file);
            std::fclose(file);
        }
    }
    _exit(failure_status);
}

void fail(const std::string & what) { end("emulator: " + what + "\n"); }

void fail(const std::string & what, const Place & place) {
    const auto  number = [](uint32_t value) { return std::to_string(value); };
    std::string line   = "emulator: " + what + "; kernel " + place.kernel + ", block (" + number(place.block[0]) + "," +
                       number(place.block[1]) + "," + number(place.block[2]) + "), warp " + number(place.warp);
    if (place.lane >= 0) line += ", lane " + std::to_string(place.lane);
    line += ", seed " + std::to_string(seed()) + ": ";
    // Some statements span lines.
    bool space = false;
    for (char character : place.instruction) {
        const bool blank = character == ' ' || character == '\t' || character == '\n';
        if (blank && !space) line += ' ';
        if (!blank) line += character;
        space = blank;
    }
    end(line + "\n");
}

}  // namespace emulator
