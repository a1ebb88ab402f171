#include "advice.h"

#include <array>
#include <cstdio>

#include "ggml-cpp.h"
#include "recompile.h"

namespace ingot::gpu {

static bool multiplies(ggml_backend_reg_t reg, const std::string & name) {
    const ggml_type type = type_named(name);
    if (type == GGML_TYPE_COUNT || type == GGML_TYPE_F32) return true;
    const ggml_context_ptr context(ggml_init({4 * ggml_tensor_overhead(), nullptr, /*no_alloc*/ true}));
    ggml_tensor * weights = ggml_new_tensor_2d(context.get(), type, 256, 256);
    ggml_tensor * x       = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, 256, 1);
    return ggml_backend_dev_supports_op(ggml_backend_reg_dev_get(reg, 0), ggml_mul_mat(context.get(), weights, x));
}

static bool attends(ggml_backend_reg_t reg, const TypePair & cache, const std::array<int64_t, 3> & heads) {
    const ggml_type k_type = type_named(cache.first), v_type = type_named(cache.second);
    if (k_type == GGML_TYPE_COUNT || v_type == GGML_TYPE_COUNT) return true;
    const auto [k_size, v_size, queries] = heads;
    constexpr int64_t CELLS = 256;
    const ggml_context_ptr context(ggml_init({8 * ggml_tensor_overhead(), nullptr, /*no_alloc*/ true}));
    ggml_tensor * q    = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, k_size, 1, queries);
    ggml_tensor * k    = ggml_new_tensor_3d(context.get(), k_type, k_size, CELLS, 1);
    ggml_tensor * v    = ggml_new_tensor_3d(context.get(), v_type, v_size, CELLS, 1);
    ggml_tensor * mask = ggml_new_tensor_2d(context.get(), GGML_TYPE_F16, CELLS, 1);
    return ggml_backend_dev_supports_op(ggml_backend_reg_dev_get(reg, 0), ggml_flash_attn_ext(context.get(), q, k, v, mask, 1.0f, 0.0f, 0.0f));
}

static std::string missing_attention(ggml_backend_reg_t reg, const KernelSet & set) {
    for (const TypePair & cache : set.kv_types) {
        for (const auto & heads : set.attention) {
            if (!attends(reg, cache, heads)) return "a KV cache of " + cache.first + " and " + cache.second;
        }
    }
    return "";
}

void advise(const Bundle & bundle, const Report & report, ggml_backend_reg_t reg, const KernelSet & set) {
    const Device * device  = report.machine.compiled_for();
    const bool     possible = device && !sources_digest(bundle).empty();
    if (!reg && !possible) return;
    uint64_t    bytes = 0;
    std::string types;
    for (const auto & [type, share] : set.weights) {
        if (reg && multiplies(reg, type)) continue;
        bytes += share.bytes;
        types += (types.empty() ? "" : ", ") + type;
    }
    const std::string remedy = possible ? "'./" + bundle.manifest.name + " --recompile --iq' makes one that has, once"
                                        : "one that is built for this model has them";
    const std::string subject = reg ? report.module + " has no" : "no module for " + device->name + " here has";
    if (!types.empty()) {
        std::fprintf(stderr, "note: %s kernels for %s, so %.1f GB of weights stay on the CPU; %s\n", subject.c_str(), types.c_str(),
                     (double) bytes / 1e9, remedy.c_str());
    }
    const std::string cache = reg ? missing_attention(reg, set) : "";
    if (!cache.empty()) {
        std::fprintf(stderr, "note: %s kernels for attention with %s, which the CPU computes; %s\n", subject.c_str(), cache.c_str(), remedy.c_str());
    }
}

}  // namespace ingot::gpu
