#include "seams.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "bundle.h"
#include "engine/words.h"
#include "error.h"

using ingot::Bundle;
using ingot::Entry;
using ingot::formatted;

// The entry behind a "bundle:" name, or nullptr for a plain path.
static const Entry * entry_named(const char * name) {
    const Bundle * bundle = ingot::own_bundle();
    if (!bundle || !name || std::strncmp(name, "bundle:", 7) != 0) return nullptr;
    const std::string what = name + 7;
    if (what == "main") return bundle->manifest.first("model");
    if (what == "draft") return bundle->manifest.first("draft");
    const auto loras = bundle->manifest.all("lora");
    for (size_t i = 0; i < loras.size(); ++i) {
        if (ingot::lora_name(i) == name) return loras[i];
    }
    return nullptr;
}

struct CloseStream {
    void operator()(FILE * stream) const { std::fclose(stream); }
};
using Stream = std::unique_ptr<FILE, CloseStream>;

static Stream stream_of(const Entry & entry) { return Stream(ingot::own_bundle()->file.stream(entry.offset)); }

static llama_model * open_model(const char * name, llama_model_params params) {
    const Entry * entry = entry_named(name);
    if (!entry) return llama_model_load_from_file(name, params);
    const Stream stream = stream_of(*entry);
    return llama_model_load_from_file_ptr(stream.get(), params);
}

llama_model * ingot_open_model(const char * name, llama_model_params params) {
    llama_model * model = open_model(name, params);
    ingot::note_model(model != nullptr);
    return model;
}

#ifndef INGOT_INSTRUMENT  // see native/seams.cmake
llama_adapter_lora * ingot_open_lora(llama_model * model, const char * name) {
    const Entry * entry = entry_named(name);
    if (!entry) return llama_adapter_lora_init(model, name);
    const Stream stream = stream_of(*entry);
    return llama_adapter_lora_init_from_file_ptr(model, stream.get());
}
#endif

static gguf_context * open_gguf(const char * name, gguf_init_params params) {
    const Entry * entry = entry_named(name);
    if (!entry) return gguf_init_from_file(name, params);
    const Stream stream = stream_of(*entry);
    return gguf_init_from_file_ptr(stream.get(), params);
}

// The engine looks into a draft model before it loads it, and asserts that it tells its number of blocks.
static bool tells_blocks(const gguf_context * gguf) {
    const int64_t architecture = gguf_find_key(gguf, "general.architecture");
    if (architecture < 0 || gguf_get_kv_type(gguf, architecture) != GGUF_TYPE_STRING) return true;  // no model
    const int64_t blocks = gguf_find_key(gguf, (gguf_get_val_str(gguf, architecture) + std::string(".block_count")).c_str());
    return blocks >= 0 && gguf_get_kv_type(gguf, blocks) == GGUF_TYPE_UINT32;
}

gguf_context * ingot_gguf_open(const char * name, gguf_init_params params) {
    gguf_context * gguf = open_gguf(name, params);
    if (!gguf || tells_blocks(gguf)) return gguf;
    gguf_free(gguf);
    return nullptr;  // loading it says why
}

gguf_context * ingot_projector_open(const char * name, gguf_init_params params) {
    const Bundle * bundle = ingot::own_bundle();
    const Entry *  entry  = bundle && bundle->file.path() == name ? bundle->manifest.first("projector") : nullptr;
    if (!entry) return gguf_init_from_file(name, params);
    const Stream stream = stream_of(*entry);
    return gguf_init_from_file_ptr(stream.get(), params);
}

bool ingot_ends_texts(const llama_vocab * vocab) {
    if (!llama_vocab_get_add_eos(vocab)) return false;
    throw ingot::Failure(ingot::EXIT_INPUT, "this model puts an end token after every text, which can then not be continued",
                         "--override-kv tokenizer.ggml.add_eos_token=bool:false leaves it out");
}

std::string ingot::formatted(const char * format, va_list args) {
    va_list again;
    va_copy(again, args);
    const int size = std::vsnprintf(nullptr, 0, format, again);
    va_end(again);
    std::string text(size > 0 ? (size_t) size : 0, '\0');
    std::vsnprintf(text.data(), text.size() + 1, format, args);
    return text;
}

void ingot_completion_log(common_log * log, ggml_log_level level, const char * format, ...) {
    va_list args;
    va_start(args, format);
    const std::string text = formatted(format, args);
    va_end(args);
    if (level != GGML_LOG_LEVEL_NONE) {
        common_log_add(log, level, "%s", text.c_str());
    } else if (std::strcmp(format, "%s") == 0) {
        // A piece of generated text. Everything else that upstream prints as output
        // ("[end of text]", closing newlines) is decoration.
        std::fputs(text.c_str(), stdout);
        ingot::leave_unless_written();
    }
}

void ingot_perplexity_log(common_log * log, ggml_log_level level, const char * format, ...) {
    va_list args;
    va_start(args, format);
    const std::string text = formatted(format, args);
    va_end(args);
    const bool result = text.rfind("Final ", 0) == 0 || text.rfind("Random ", 0) == 0;
    const bool progress = level == GGML_LOG_LEVEL_INFO && text.find("system_info") == std::string::npos;
    if (result) common_log_add(log, GGML_LOG_LEVEL_NONE, "%s", text.c_str());
    else if (progress && !ingot::engine_log_shown()) ingot::tell_progress(text);
    else common_log_add(log, level, "%s", text.c_str());
}

bool ingot_gpu_offload(void) { return true; }
bool ingot_rpc(void) { return false; }
