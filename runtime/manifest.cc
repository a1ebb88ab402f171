#include "manifest.h"

#include <climits>

#include "error.h"

namespace ingot {

using nlohmann::json;

const Entry * Manifest::first(const std::string & role) const {
    for (const auto & entry : entries) {
        if (entry.role == role) return &entry;
    }
    return nullptr;
}

const Entry * Manifest::named(const std::string & wanted) const {
    for (const auto & entry : entries) {
        if (entry.name == wanted) return &entry;
    }
    return nullptr;
}

std::vector<const Entry *> Manifest::all(const std::string & role) const {
    std::vector<const Entry *> found;
    for (const auto & entry : entries) {
        if (entry.role == role) found.push_back(&entry);
    }
    return found;
}

std::string Manifest::model_fact(const char * key) const {
    const auto model = document.find("model");
    if (model == document.end() || !model->is_object()) return "";
    const auto value = model->find(key);
    if (value == model->end() || value->is_null()) return "";
    return value->is_string() ? value->get<std::string>() : value->dump();
}

std::set<std::string> Manifest::tensor_types() const {
    std::set<std::string> names;
    const auto model = document.find("model");
    if (model == document.end() || !model->is_object() || !model->contains("tensor_types")) return names;
    for (const auto & item : model->at("tensor_types").items()) names.insert(item.key());
    return names;
}

static Entry parse_entry(const json & from, uint64_t file_size) {
    Entry entry;
    entry.name   = from.at("name").get<std::string>();
    entry.role   = from.at("role").get<std::string>();
    entry.target = from.value("target", "");
    entry.method = from.at("method").get<int>();
    entry.offset = from.at("offset").get<uint64_t>();
    entry.size   = from.at("size").get<uint64_t>();
    entry.stored = from.at("stored").get<uint64_t>();
    entry.crc32  = from.at("crc32").get<uint32_t>();
    entry.sha256 = from.value("sha256", "");
    entry.gpu    = from.value("gpu", json());
    if (const auto tree = from.find("tree"); tree != from.end() && tree->is_object()) {
        entry.chunk  = tree->at("chunk").get<uint64_t>();
        entry.leaves = tree->at("leaves").get<std::string>();
    }
    const bool inside = entry.offset <= file_size && entry.stored <= file_size - entry.offset;
    const bool method = entry.method == 8 || (entry.method == 0 && entry.size == entry.stored);
    const bool hashed = entry.sha256.size() == 64 || (entry.chunk > 0 && !entry.leaves.empty());
    // Weights are stored; what is inflated fits the decoder's int, and memory.
    const bool weights = entry.chunk == 0 || (entry.method == 0 && entry.chunk <= (64u << 20));
    const bool small   = entry.method == 0 || (entry.size <= INT_MAX && entry.stored <= INT_MAX);
    if (!inside || !method || !hashed || !weights || !small) {
        throw Failure(EXIT_INTEGRITY, "the manifest's record of " + entry.name + " is not valid");
    }
    return entry;
}

Manifest parse_manifest(const std::string & text, uint64_t file_size) {
    Manifest manifest;
    try {
        manifest.document = json::parse(text);
        const auto & doc = manifest.document;
        if (doc.at("format").get<int>() != 1) {
            throw Failure(EXIT_INTEGRITY, "this executable's manifest has format " + doc.at("format").dump() +
                                              ", and this runtime reads format 1");
        }
        manifest.file_size      = doc.at("file_size").get<uint64_t>();
        manifest.name           = doc.at("name").get<std::string>();
        manifest.target         = doc.at("target").get<std::string>();
        manifest.program_size   = doc.at("program").at("size").get<uint64_t>();
        if (manifest.program_size > file_size) throw Failure(EXIT_INTEGRITY, "the manifest's program size is not valid");
        manifest.program_sha256 = doc.at("program").at("sha256").get<std::string>();
        manifest.default_args   = doc.at("defaults").at("args").get<std::vector<std::string>>();
        manifest.embedding_model = doc.at("model").value("embedding", false);
        for (const auto & entry : doc.at("entries")) manifest.entries.push_back(parse_entry(entry, file_size));
    } catch (const json::exception & error) {
        throw Failure(EXIT_INTEGRITY, std::string("the manifest cannot be read: ") + error.what());
    }
    return manifest;
}

}  // namespace ingot
