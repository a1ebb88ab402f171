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

# The same for one source file, where what the call reaches is defined in the same target.
function (ingot_source_seam target source)
    if (INGOT_INSTRUMENT)
        return()
    endif()
    get_target_property(folder ${target} SOURCE_DIR)
    set_property(SOURCE "${folder}/${source}" TARGET_DIRECTORY ${target} APPEND PROPERTY COMPILE_DEFINITIONS ${ARGN})
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
# Perplexity logs its results, which go there too.
ingot_seam(llama-perplexity-impl common_log_add=ingot_perplexity_log)

# A model that ends every text with an end token cannot continue one: an error, where the engine asserts.
foreach (target llama-completion-impl llama-perplexity-impl)
    ingot_seam(${target} llama_vocab_get_add_eos=ingot_ends_texts)
endforeach()

# Where it answers is said when it does, and MCP servers that don't work are named.
ingot_source_seam(llama-server-impl server.cpp
    common_log_add=ingot_server_log common_log_get_verbosity_thold=ingot_server_log_level)
ingot_source_seam(server-context server-queue.cpp common_log_get_verbosity_thold=ingot_queue_log_level)
# What the processes of a router's models say: their errors, which are in no answer.
ingot_source_seam(llama-server-impl server-models.cpp common_log_add=ingot_models_log)
ingot_source_seam(server-context server-mcp.cpp
    common_log_add=ingot_mcp_log common_log_get_verbosity_thold=ingot_server_log_level)

# A blank chat template is none, and one that cannot be used is said so.
ingot_source_seam(server-context server-context.cpp common_chat_templates_init=ingot_server_templates)
if (NOT INGOT_INSTRUMENT)
    ingot_seam(llama-completion-impl common_chat_templates_init=ingot_completion_templates)
endif()

# The carried model is one of a router's models.
ingot_source_seam(llama-common preset.cpp fs_list=ingot_fs_list)

# Statuses and shapes of answers.
ingot_source_seam(server-context server-task.cpp format_error_response=ingot_error_response)
ingot_source_seam(llama-server-impl server-http.cpp post=ingot_http_post)

# A working directory for programs that the server starts: glibc 2.28 has no
# posix_spawn_file_actions_addchdir_np, and the header's other way needs none. New names, because
# every source that includes the header has these functions as weak symbols.
ingot_source_seam(llama-common subproc.cpp SUBPROCESS_SPAWN_VIA_FORK=1
    subprocess_create=ingot_subprocess_create subprocess_create_ex=ingot_subprocess_create_ex)

# Every message of the engine comes to us: its log is shown with -v only, and its first complaint
# becomes the reason of our one error line.
ingot_source_seam(llama-common log.cpp common_log_add=ingot_engine_log_add)
ingot_source_seam(llama-common common.cpp common_log_default_callback=ingot_log_callback)
ingot_source_seam(llama-common arg.cpp fprintf=ingot_tool_print)
ingot_source_seam(llama llama-grammar.cpp fprintf=ingot_tool_print)
ingot_source_seam(server-context server-context.cpp common_log_default_callback=ingot_log_callback)
if (NOT INGOT_INSTRUMENT)
    ingot_seam(llama-bench-impl llama_log_set=ingot_bench_log fprintf=ingot_tool_print)
    # With its parenthesis, for attributes of functions name printf too.
    target_compile_options(llama-bench-impl PRIVATE "-Dprintf(...)=ingot_tool_usage(__VA_ARGS__)")
endif()

# Options for a GPU say nothing where there is none: our own note points to --recompile. And a table of
# options can be had before the CPU module is chosen.
ingot_seam(llama-common llama_supports_gpu_offload=ingot_gpu_offload llama_supports_rpc=ingot_rpc)

# The default context is one that the memory of this machine, or of its container, can hold.
ingot_source_seam(llama-common common.cpp common_fit_params=ingot_fit_params)
ingot_source_seam(llama-common fit.cpp llama_get_memory_breakdown=ingot_memory_breakdown)

# The micro-batch is made a multiple of the sequences, or pooling's graph fails an assertion.
foreach (source common.cpp fit.cpp)
    ingot_source_seam(llama-common ${source} llama_init_from_model=ingot_make_context)
endforeach()
