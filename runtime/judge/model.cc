#include "model.h"

#include "../error.h"
#include "../seams.h"
#include "../server/templates.h"
#include "clip.h"
#include "mtmd.h"

namespace ingot {

static void judge_adapter(llama_model & model, const std::string & path, const EngineLog & log) {
    if (!ingot_open_lora(&model, path.c_str())) throw Failure(EXIT_INPUT, path + ": the engine cannot load it: " + log.complaint);
}

static void judge_projector(const std::string & path, const EngineLog & log) {
    clip_context_params params{};
    params.flash_attn_type  = CLIP_FLASH_ATTN_TYPE_AUTO;
    params.image_min_tokens = -1;
    params.image_max_tokens = -1;
    params.no_alloc         = true;
    const clip_init_result found = clip_init(path.c_str(), params);
    if (!found.ctx_v && !found.ctx_a) throw Failure(EXIT_INPUT, path + ": the engine cannot load it: " + log.complaint);
    for (clip_ctx * context : {found.ctx_v, found.ctx_a, found.ctx_gen_a}) {
        if (context) clip_free(context);
    }
}

ModelVerdict judge_model(const ModelFiles & files, bool verbose) {
    ModelVerdict verdict;
    std::vector<CacheTypes> caches{CacheTypes{}};
    if (files.cache.k != caches[0].k || files.cache.v != caches[0].v) caches.push_back(files.cache);
    verdict.kernels = kernel_set_of(files.model, caches, verbose, [&](llama_model & model, EngineLog & log) {
        log.complaint.clear();
        for (const auto & adapter : files.adapters) judge_adapter(model, adapter, log);
        mtmd_log_set(hear, &log);
        if (!files.projector.empty()) judge_projector(files.projector, log);
        verdict.template_fault = templates::fault_of(model);
    });
    return verdict;
}

}  // namespace ingot
