// Chooses and loads backend modules. Detection (scores), choice and loading are separate:
// `cpu_candidates` only says what this CPU could run and in which order.
#pragma once

#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bundle.h"
#include "ggml-backend.h"

namespace ingot {

struct CpuCandidate {
    std::string   level;  // "haswell", ...
    int           score;  // by the engine's own function; higher is better, 0 cannot run
    const Entry * entry;  // its module in the bundle
};

// Modules that this CPU's features allow, best first. Pure apart from CPUID.
std::vector<CpuCandidate> cpu_candidates(const Bundle * bundle);

// Begins to test the best candidate in the background, so that it costs no time later when
// the engine asks for its CPU backend. `types`: tensor types that will be met, all if empty.
// A verb that does not call it (tokenize) gets the baseline.
void begin_cpu_choice(const std::set<std::string> & types);

// Whether the choice is told on stderr when it is made (-v).
void announce_cpu_choice(bool on);

// The level in use after the engine asked for its CPU backend: a name above, or "baseline".
const std::string & cpu_level();

// What the engine may compute on, the CPU included: `name` ("Vulkan0") and `description` of each.
nlohmann::json backends();

}  // namespace ingot

extern "C" {
// Seams: what the engine's registry and loaders reach instead of their own (native/seams.cmake).
ggml_backend_reg_t ingot_cpu_reg(void);
void               ingot_load_backends(void);
}
