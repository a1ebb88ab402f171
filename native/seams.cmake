# The seams: where our code joins the engine without editing it. Each renames one call
# in one upstream target by a compile definition; runtime/seams.cc holds what it then
# reaches. See README.md for the reasons.
function (ingot_seam target)
    if (INGOT_INSTRUMENT AND NOT TARGET ${target})
        return()
    endif()
    foreach (rename ${ARGN})
        target_compile_definitions(${target} PRIVATE "${rename}")
    endforeach()
endfunction()

# The registry asks us for the CPU backend, and gets the best module that passed its test.
ingot_seam(ggml ggml_backend_cpu_reg=ingot_cpu_reg)

# No library is ever loaded because a file with the right name lies somewhere.
foreach (target llama llama-common llama-bench-impl)
    ingot_seam(${target} ggml_backend_load_all=ingot_load_backends)
endforeach()

# Models by name: "bundle:main" is an entry of this executable, anything else a path.
foreach (target llama-common llama-bench-impl)
    ingot_seam(${target} llama_model_load_from_file=ingot_open_model)
endforeach()
ingot_seam(llama-common gguf_init_from_file=ingot_gguf_open)
if (NOT INGOT_INSTRUMENT)  # not every engine can read an adapter from a stream
    ingot_seam(llama-common llama_adapter_lora_init=ingot_open_lora)
endif()

# The projector's tensors are read through an ifstream at the offsets that the GGUF context
# gives. We name the executable's own path; the context then counts from its first byte.
ingot_seam(mtmd gguf_init_from_file=ingot_projector_open)

# Generated text alone goes to stdout, so that pipes work.
ingot_seam(llama-completion-impl common_log_add=ingot_completion_log)
