// What a module shows to the program: ggml_backend_init. It is upstream's backend, whose
// supports_op also asks whether the kernels are in this module, so that the scheduler sends
// everything else to another backend and no left-out kernel can be reached.
#include <algorithm>
#include <cstring>
#include <iterator>

#include "ggml-backend-impl.h"
#include "ggml-impl.h"
#include "ingot_kernels.h"  // made by runtime/gpu/units.cc for this module

namespace {

using Supports = bool (*)(ggml_backend_dev_t, const ggml_tensor *);
Supports upstream_supports = nullptr;

#ifdef INGOT_WHOLE  // nothing is left out

bool is_compiled(const ggml_tensor *) { return true; }

#else

template <typename T, size_t n> bool among(const T (&list)[n], const T & value) {
    return std::find(std::begin(list), std::end(list), value) != std::end(list);
}

// A view or a reshape computes nothing.
bool is_layout(ggml_op op) {
    return op == GGML_OP_NONE || op == GGML_OP_RESHAPE || op == GGML_OP_VIEW || op == GGML_OP_PERMUTE || op == GGML_OP_TRANSPOSE;
}

bool types_compiled(const ggml_tensor * op) {
    if (among(INGOT_LEFT_OUT_TYPES, (int) op->type)) return false;
    for (const ggml_tensor * source : op->src) {
        if (source && among(INGOT_LEFT_OUT_TYPES, (int) source->type)) return false;
    }
    return true;
}

bool attention_compiled(const ggml_tensor * op) {
    const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2];
    const ingot_attention wanted{k->ne[0], v->ne[0], q->ne[2] / k->ne[2]};
    for (const auto & has : INGOT_ATTENTION) {
        if (std::memcmp(&has, &wanted, sizeof(has)) == 0) return true;
    }
    return false;
}

bool all_f32(const ggml_tensor * op) {
    if (op->type != GGML_TYPE_F32) return false;
    for (const ggml_tensor * source : op->src) {
        if (source && source->type != GGML_TYPE_F32) return false;
    }
    return true;
}

bool is_compiled(const ggml_tensor * op) {
    if (is_layout(op->op)) return true;
    if (!among(INGOT_OPS, (int) op->op) || !types_compiled(op)) return false;
    if (among(INGOT_FLOAT_ONLY_OPS, (int) op->op)) return all_f32(op);
    if (op->op == GGML_OP_MUL_MAT || op->op == GGML_OP_MUL_MAT_ID) return !among(INGOT_LEFT_OUT_FACTORS, (int) op->src[0]->type);
    return op->op != GGML_OP_FLASH_ATTN_EXT || attention_compiled(op);
}

#endif

bool supports(ggml_backend_dev_t device, const ggml_tensor * op) { return is_compiled(op) && upstream_supports(device, op); }

}  // namespace

extern "C" {

__attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init(void) {
    ggml_backend_reg_t reg = INGOT_REGISTRY();
    for (size_t i = 0; i < ggml_backend_reg_dev_count(reg); ++i) {
        ggml_backend_dev_t device = ggml_backend_reg_dev_get(reg, i);
        if (device->iface.supports_op == supports) continue;
        upstream_supports = device->iface.supports_op;
        device->iface.supports_op = supports;
    }
    return reg;
}

// The manifest's kernel set, as text; for `doctor` and for whoever has only the module.
__attribute__((visibility("default"))) const char * ingot_module_kernels(void) { return INGOT_KERNELS_TEXT; }

}  // extern "C"
