#include "ui.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <list>
#include <map>
#include <mutex>

#include "bundle.h"

namespace {

using ingot::Bundle;
using ingot::Entry;
using Bytes = std::vector<uint8_t>;

const std::map<std::string, std::string> MIME = {
    {"html", "text/html; charset=utf-8"}, {"css", "text/css"}, {"js", "application/javascript"},
    {"json", "application/json"}, {"webmanifest", "application/manifest+json"}, {"svg", "image/svg+xml"},
    {"png", "image/png"}, {"jpg", "image/jpeg"}, {"ico", "image/x-icon"}, {"woff", "font/woff"}, {"woff2", "font/woff2"}};

std::string mime_of(const std::string & name) {
    const auto dot = name.rfind('.');
    const auto found = MIME.find(dot == std::string::npos ? "" : name.substr(dot + 1));
    return found == MIME.end() ? "application/octet-stream" : found->second;
}

void append_le32(Bytes & to, uint32_t value) {
    for (int i = 0; i < 4; ++i) to.push_back((uint8_t) (value >> (8 * i)));
}

// Stored data as a DEFLATE stream of stored blocks (RFC 1951, 3.2.4).
Bytes as_deflate(const Bytes & plain) {
    Bytes stream;
    for (size_t at = 0; at < plain.size() || stream.empty();) {
        const size_t size = std::min<size_t>(65535, plain.size() - at);
        const bool   last = at + size == plain.size();
        stream.insert(stream.end(), {(uint8_t) last, (uint8_t) size, (uint8_t) (size >> 8), (uint8_t) ~size, (uint8_t) (~size >> 8)});
        stream.insert(stream.end(), plain.begin() + at, plain.begin() + at + size);
        at += size;
    }
    return stream;
}

// A ZIP entry already is a DEFLATE stream with its CRC: ten bytes before and eight after
// make it gzip (RFC 1952), which browsers take as it is and check themselves.
Bytes as_gzip(const Bundle & bundle, const Entry & entry) {
    Bytes body = bundle.read_stored(entry);
    if (entry.method == 0) body = as_deflate(body);
    Bytes gzip{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    gzip.insert(gzip.end(), body.begin(), body.end());
    append_le32(gzip, entry.crc32);
    append_le32(gzip, (uint32_t) entry.size);
    return gzip;
}

std::vector<llama_ui_asset> load_assets() {
    static std::list<Bytes> storage;
    std::vector<llama_ui_asset> assets;
    const Bundle * bundle = ingot::own_bundle();
    if (!bundle) return assets;
    for (const Entry * entry : bundle->manifest.all("ui")) {
        const std::string name = entry->name.substr(std::string("ui/").size());
        const Bytes & data = storage.emplace_back(as_gzip(*bundle, *entry));
        assets.push_back({name, data.data(), data.size(), "\"" + entry->sha256 + "\"", mime_of(name)});
    }
    return assets;
}

// The assets as they are, each unpacked when it is first asked for: few clients do.
const llama_ui_asset * unpacked(const llama_ui_asset & packed) {
    static std::mutex mutex;
    static std::map<std::string, llama_ui_asset> assets;
    static std::list<Bytes> storage;
    const std::lock_guard<std::mutex> lock(mutex);
    const auto known = assets.find(packed.name);
    if (known != assets.end()) return &known->second;
    const Bundle * bundle = ingot::own_bundle();
    for (const Entry * entry : bundle->manifest.all("ui")) {
        if (entry->name != "ui/" + packed.name) continue;
        const Bytes & data = storage.emplace_back(bundle->read(*entry));
        const std::string etag = "\"" + entry->sha256 + "-plain\"";
        return &(assets[packed.name] = {packed.name, data.data(), data.size(), etag, packed.type});
    }
    return nullptr;
}

// Whether one element of Accept-Encoding ("gzip;q=0.5") takes gzip.
bool takes_gzip(std::string element) {
    element.erase(std::remove_if(element.begin(), element.end(), [](unsigned char c) { return std::isspace(c); }), element.end());
    if (element.rfind("gzip", 0) != 0 || (element.size() > 4 && element[4] != ';')) return false;
    const size_t weight = std::min(element.find(";q="), element.find(";Q="));
    return weight == std::string::npos || std::strtod(element.c_str() + weight + 3, nullptr) > 0;
}

}  // namespace

const std::vector<llama_ui_asset> & llama_ui_get_assets() {
    static const std::vector<llama_ui_asset> assets = load_assets();
    return assets;
}

// In lower case only, which is how every browser writes it and what the engine looks for: others get
// the page unpacked, which all understand.
bool ingot_ui_use_gzip(const std::string & accepted) {
    for (size_t at = 0; at < accepted.size();) {
        const size_t end = std::min(accepted.find(',', at), accepted.size());
        if (takes_gzip(accepted.substr(at, end - at))) return true;
        at = end + 1;
    }
    return false;
}

const llama_ui_asset * ingot_ui_find_asset(const std::string & name, const std::string & accepted) {
    for (const auto & asset : llama_ui_get_assets()) {
        if (asset.name == name) return ingot_ui_use_gzip(accepted) ? &asset : unpacked(asset);
    }
    return nullptr;
}
