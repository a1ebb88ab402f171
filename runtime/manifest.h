// The manifest: the record inside an executable that says what is in it and how each
// entry hashes. Written by builder/ingot/bundle/manifest.py; docs/reference/format.md has
// the fields. This side reads format 1 and refuses what it does not know.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace ingot {

struct Entry {
    std::string name;
    std::string role;    // model projector lora draft hashes module license ui source recipe sbom
    std::string target;  // modules only
    int         method = 0;  // ZIP: 0 stored, 8 deflated
    uint64_t    offset = 0;  // of the data, bytes from the start of the file
    uint64_t    size   = 0;  // bytes, uncompressed
    uint64_t    stored = 0;  // bytes in the file
    uint32_t    crc32  = 0;
    std::string sha256;      // of the uncompressed bytes; empty for weights
    uint64_t    chunk = 0;   // weights: bytes per leaf of the hash tree
    std::string leaves;      // weights: the entry that holds the leaves
    nlohmann::json gpu;      // GPU modules: what they were compiled for (docs/reference/format.md), else null
};

struct Manifest {
    uint64_t           file_size = 0;
    std::string        name;
    std::string        target;
    uint64_t           program_size = 0;
    std::string        program_sha256;
    std::vector<std::string> default_args;
    bool               embedding_model = false;
    std::vector<Entry> entries;
    nlohmann::json     document;  // the whole, for `info`

    // First entry with that role, or nullptr.
    const Entry * first(const std::string & role) const;
    const Entry * named(const std::string & name) const;
    std::vector<const Entry *> all(const std::string & role) const;
    // Names of the tensor types in the carried weights ("Q4_K", ...).
    std::set<std::string> tensor_types() const;
    // A text fact of the model ("name", "license", ...), or "" when unknown.
    std::string model_fact(const char * key) const;
};

// Parses and validates; `file_size` in bytes bounds every offset. Throws Failure.
Manifest parse_manifest(const std::string & text, uint64_t file_size);

}  // namespace ingot
