// What a module shows to the program: ggml_backend_init. It is upstream's Vulkan backend, whose
// supports_op also asks whether the shaders are in this module, so that the scheduler sends
// everything else to another backend and no left-out shader can be reached.
#include <algorithm>
#include <iterator>
#include <string>

#include "ggml-backend-impl.h"
#include "ggml-vulkan.h"
#include "ingot_kernels.h"  // made by the builder for this module
#include "loader.h"

namespace {

using Supports = bool (*)(ggml_backend_dev_t, const ggml_tensor *);
Supports upstream_supports = nullptr;
std::string problem;

template <typename T, size_t n> bool among(const T (&list)[n], const T & value) {
    return std::find(std::begin(list), std::end(list), value) != std::end(list);
}

// A view or a reshape computes nothing.
bool is_layout(ggml_op op) {
    return op == GGML_OP_NONE || op == GGML_OP_RESHAPE || op == GGML_OP_VIEW || op == GGML_OP_PERMUTE || op == GGML_OP_TRANSPOSE;
}

bool is_compiled(const ggml_tensor * op) {
    if (is_layout(op->op)) return true;
    if (!among(INGOT_OPS, op->op) || !among(INGOT_TYPES, op->type)) return false;
    return std::all_of(std::begin(op->src), std::end(op->src),
                       [](const ggml_tensor * source) { return !source || among(INGOT_TYPES, source->type); });
}

bool supports(ggml_backend_dev_t device, const ggml_tensor * op) { return is_compiled(op) && upstream_supports(device, op); }

}  // namespace

extern "C" {

// Null where Vulkan cannot be used; ingot_module_problem then says why.
__attribute__((visibility("default"))) ggml_backend_reg_t ggml_backend_init(void) {
    ggml_backend_reg_t reg = ggml_backend_vk_reg();
    if (!reg) {
        problem = *ingot::vulkan_problem() ? ingot::vulkan_problem() : "no driver for Vulkan 1.2 can be used";
        return nullptr;
    }
    for (size_t i = 0; i < ggml_backend_reg_dev_count(reg); ++i) {
        ggml_backend_dev_t device = ggml_backend_reg_dev_get(reg, i);
        if (device->iface.supports_op == supports) continue;
        upstream_supports = device->iface.supports_op;
        device->iface.supports_op = supports;
    }
    return reg;
}

// Why ggml_backend_init returned null; empty when it did not.
__attribute__((visibility("default"))) const char * ingot_module_problem(void) { return problem.c_str(); }

// The manifest's kernel set, as text; for `doctor` and for whoever has only the module.
__attribute__((visibility("default"))) const char * ingot_module_kernels(void) { return INGOT_KERNELS_TEXT; }

}  // extern "C"
