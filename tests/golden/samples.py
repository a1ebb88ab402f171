"""Tiny deterministic inputs: GGUFs written byte by byte and a runtime image that is none.

Written with struct and not with the ``gguf`` package, so that malformed files can be made too.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot.bundle.manifest import CudaFacts, VulkanFacts
from ingot.engine.image import RuntimeImage, write_record
from ingot.engine.pin import load_sources
from ingot.engine.runtime import choose_target, runtime_folder, runtime_key

Plain = str | bool | int | float | Sequence[str] | Sequence[int]

F32, F16, Q4_0, Q8_0, Q4_K = 0, 1, 2, 8, 12
IDENTITY: Mapping[str, object] = {
    "engine": {
        "package": "llama-cpp-python",
        "version": "0",
        "commit": "0" * 40,
        "sha256": "0" * 64,
    },
    "toolchain": {"ziglang": "0"},
    "key": "ab" * 32,
}

VULKAN_FACTS = VulkanFacts(
    shaders=351,
    key="0a" * 32,
    sources="0b" * 32,
    headers="1.4.309",
    compiler="glslang 16.5 (ncnn 1.0.20261020)",
)
GPU_FACTS = CudaFacts(
    archs=("80", "90"),
    ptx=True,
    key="cd" * 32,
    sources="ef" * 32,
    toolkit="13.0.88",
    host_compiler="g++ 12.2.0",
)


COMPONENTS = [
    {"name": "cpp-httplib", "part": "engine", "version": "0.58.0", "license": "MIT"},
    {"name": "libc++", "part": "linked", "license": "Apache-2.0 WITH LLVM-exception"},
    {"name": "@scope/page", "part": "page", "version": "1.0", "purl": "pkg:npm/%40scope/page@1.0"},
]


@dataclass(frozen=True)
class T:
    """A tensor to write; ``data`` None means zeros of the right size for F32."""

    name: str
    shape: tuple[int, ...] = (8, 4)
    kind: int = F32
    data: bytes | None = None
    offset: int | None = None

    def content(self) -> bytes:
        if self.data is not None:
            return self.data
        count = 4
        for n in self.shape:
            count *= n
        seed = hashlib.sha256(self.name.encode()).digest()
        return (seed * (count // 32 + 1))[:count]


def string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def value(item: Plain) -> bytes:
    """The type and the value of one key."""
    match item:
        case bool():
            return struct.pack("<IB", 7, item)
        case int():
            return struct.pack("<IQ", 10, item) if item >= 1 << 32 else struct.pack("<II", 4, item)
        case float():
            return struct.pack("<If", 6, item)
        case str():
            return struct.pack("<I", 8) + string(item)
        case _:
            if item and isinstance(item[0], str):
                head = struct.pack("<IIQ", 9, 8, len(item))
                return head + b"".join(string(str(word)) for word in item)
            return struct.pack(f"<IIQ{len(item)}i", 9, 5, len(item), *item)


def gguf_bytes(
    kv: Mapping[str, Plain],
    tensors: Sequence[T] = (),
    *,
    version: int = 3,
    alignment: int = 32,
    pairs: bytes | None = None,
) -> bytes:
    """A GGUF. ``pairs`` replaces the encoded key-value pairs (their number stays that of kv)."""
    body = pairs
    if body is None:
        body = b"".join(string(key) + value(item) for key, item in kv.items())
    table, data = b"", b""
    for tensor in tensors:
        offset = len(data) if tensor.offset is None else tensor.offset
        shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        table += string(tensor.name) + shape + struct.pack("<IQ", tensor.kind, offset)
        data += tensor.content()
        data += bytes(-len(data) % alignment)
    head = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(kv)) + body + table
    return head + bytes(-len(head) % alignment) + data


def model_kv(**more: Plain) -> dict[str, Plain]:
    """The keys of a tiny Llama; keyword underscores are dots when doubled."""
    kv: dict[str, Plain] = {
        "general.architecture": "llama",
        "general.name": "Tiny",
        "general.license": "apache-2.0",
        "general.file_type": 0,
        "llama.context_length": 128,
        "llama.embedding_length": 8,
        "llama.block_count": 1,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [f"token{n}" for n in range(32)],
        "tokenizer.chat_template": "{{ messages }}",
    }
    kv.update({key.replace("__", "."): item for key, item in more.items()})
    return kv


TENSORS = (T("token_embd.weight", (8, 32)), T("blk.0.attn_q.weight"), T("output_norm.weight", (8,)))


def write_model(path: Path, tensors: Sequence[T] = TENSORS, **more: Plain) -> Path:
    """A tiny model that the reader accepts."""
    path.write_bytes(gguf_bytes(model_kv(**more), tensors))
    return path


def write_projector(path: Path, width: int = 8) -> Path:
    """A projector to ``width`` dimensions."""
    kv: dict[str, Plain] = {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "clip.projector_type": "gemma3",
        "clip.vision.projection_dim": width,
    }
    path.write_bytes(gguf_bytes(kv, (T("mm.input_projection.weight", (width, 4)),)))
    return path


def write_lora(path: Path, architecture: str = "llama") -> Path:
    """A LoRA adapter for ``architecture``."""
    kv: dict[str, Plain] = {
        "general.architecture": architecture,
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 16.0,
    }
    path.write_bytes(gguf_bytes(kv, (T("blk.0.attn_q.weight.lora_a", (8, 2)),)))
    return path


def write_split(folder: Path, count: int = 3, stem: str = "big") -> list[Path]:
    """A model split as llama-gguf-split does it: one tensor per part, keys in the first."""
    paths = []
    tensors = [T(f"blk.{n}.attn_q.weight", (9, n + 1)) for n in range(count)]
    for number, tensor in enumerate(tensors):
        kv: dict[str, Plain] = model_kv() if number == 0 else {}
        kv |= {"split.no": number, "split.count": count, "split.tensors.count": count}
        path = folder / f"{stem}-{number + 1:05d}-of-{count:05d}.gguf"
        path.write_bytes(gguf_bytes(kv, (tensor,)))
        paths.append(path)
    return paths


def write_runtime_files(folder: Path, program: bytes = b"") -> None:
    """Fill ``folder`` as a runtime image is laid out, with stand-ins for everything compiled."""
    files = {
        "program": program or b"\x7fELF" + bytes(range(256)) * 3,
        "tools": b"\x7fELF tools",
        "modules/ggml-cpu-x64.so": b"\x7fELF baseline",
        "modules/ggml-cpu-haswell.so": b"\x7fELF haswell",
        "ui/index.html": b"<p>hi",
        "ui/_app/page.js": b"let x = 1;\n" * 50,
        "licenses/llama.cpp.txt": b"MIT\n",
        "sources/gpu.tar": b"x.cu\0// kernel\n",
        "components.json": json.dumps(COMPONENTS).encode(),
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def fake_runtime(folder: Path, program: bytes = b"", key: str = "ab" * 32) -> RuntimeImage:
    """A RuntimeImage of a few hundred bytes."""
    write_runtime_files(folder, program)
    write_record(folder, "linux-x86_64", {**IDENTITY, "key": key})
    return RuntimeImage.load(folder)


def seed_cache(program: bytes = b"") -> None:
    """Put a fake image where this checkout's own would be (INGOT_CACHE must be set)."""
    sources = load_sources()
    key = runtime_key(sources, choose_target(sources))
    fake_runtime(runtime_folder(key), program, key)
