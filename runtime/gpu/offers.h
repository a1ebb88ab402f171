// The GPU modules that there are for a model: compiled on this machine, or carried.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../bundle.h"
#include "../kernel_set.h"
#include "../sealed_file.h"
#include "choose.h"
#include "options.h"

namespace ingot::gpu {

// A module on offer with the way to get at it.
struct Candidate {
    Offer                         offer;
    const Entry *                 entry = nullptr;  // bundled
    std::optional<os::SealedFile> sealed;           // compiled here, or opened
};

bool carries(const Bundle * bundle, Kind kind);

// Those of `kinds`. What is wrong with one compiled here is told on stderr.
std::vector<Candidate> candidates_for(const Bundle * bundle, const std::optional<KernelSet> & set, const Machine & machine,
                                      const std::vector<Kind> & kinds, const Options & options);

// The module in sealed memory, or nullptr with the reason in `why`. Throws Failure when the
// executable is damaged.
const os::SealedFile * open_module(Candidate & candidate, const Bundle & bundle, std::string & why);

// Why a module that could be loaded offers no device, in its own words where it has any.
std::string why_no_device(const os::SealedFile & module);

// Whether each bundled module can be mapped here and answers, GPU or not; asked in child processes.
// Its title, and "" or why not.
std::vector<std::pair<std::string, std::string>> bundled_problems(const Bundle * bundle);

}  // namespace ingot::gpu
