#!/bin/sh
# On a machine with an NVIDIA GPU and nvcc: compile, test and use a module for EXECUTABLE, twice, and
# compare with the CPU. Prints what native/cuda/NOTES.md wants to know.
#
#     sh on-a-gpu.sh ./model [FOLDER]
#
# With ENGINE naming the engine's source folder (vendor/llama.cpp of its package) and cmake installed,
# upstream's full backend is compiled and measured in the same run.
set -u
model=$1
cache=${2:-$(mktemp -d)}

say() { printf '\n== %s\n' "$*"; }
timed() {
    begin=$(date +%s.%N)
    "$@"
    status=$?
    end=$(date +%s.%N)
    printf '(status %s, %s s)\n' "$status" "$(awk "BEGIN { print $end - $begin }")"
}

say "what is here"
nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total --format=csv,noheader
"$model" doctor --cache-dir "$cache"

say "first --recompile --iq"
timed "$model" --recompile --iq --cache-dir "$cache"
say "second: compiles nothing"
timed "$model" --recompile --iq --cache-dir "$cache"

say "the same greedy tokens on the CPU and on the GPU"
"$model" -p "def add(a, b):" -n 24 --temp 0 --gpu none
"$model" -p "def add(a, b):" -n 24 --temp 0 -ngl 99 --require-gpu --cache-dir "$cache"
say "the same with the module's own matrix products, without cuBLAS"
INGOT_CUBLAS=0 "$model" -p "def add(a, b):" -n 24 --temp 0 -ngl 99 --require-gpu --cache-dir "$cache"

say "tokens per second: GPU, GPU without cuBLAS, GPU without flash attention, CPU"
"$model" bench -ngl 99 --cache-dir "$cache"
INGOT_CUBLAS=0 "$model" bench -ngl 99 --cache-dir "$cache"
"$model" bench -ngl 99 -fa 0 --cache-dir "$cache"
"$model" bench --gpu none

if [ -n "${ENGINE:-}" ]; then
    say "upstream's full backend: compiled for this GPU"
    cmake -S "$ENGINE" -B "$cache/upstream" -DCMAKE_BUILD_TYPE=Release -DGGML_CUDA=ON \
        -DCMAKE_CUDA_ARCHITECTURES=native -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF >"$cache/upstream.log" 2>&1
    timed cmake --build "$cache/upstream" --target llama-bench --parallel "$(nproc)" >>"$cache/upstream.log" 2>&1
    tail -n 1 "$cache/upstream.log"
    "$model" extract -o "$cache/extracted" >/dev/null
    for gguf in "$cache"/extracted/models/*.gguf; do
        say "upstream, $(basename "$gguf")"
        "$cache/upstream/bin/llama-bench" -m "$gguf" -ngl 99
        "$cache/upstream/bin/llama-bench" -m "$gguf" -ngl 99 -fa 1
    done
fi
