"""What the Hub on this machine holds for llama.cpp's server tests, by the names they ask for.

None of their models can be had without the network: see ``tests.upstream.stories`` for the text
models; embeddings and ranks come from MiniLM.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFWriter

from tests.hub.server import Hub
from tests.models import fixtures
from tests.models.ggufs import copy_metadata, save, string_value
from tests.upstream.stories import LORA, projector, variants

Files = Mapping[str, Path]

# Repository and file, as the tests' options --hf-repo and --hf-file name them.
PLAIN = "ggml-org/test-model-stories260K/"
INFILL = "ggml-org/test-model-stories260K-infill/"
MOE = "ggml-org/stories15M_MOE/stories15M_MOE-F16.gguf"
EMBEDDING = "ggml-org/models/bert-bge-small/ggml-model-f16.gguf"
RANKER = "ggml-org/models/jina-reranker-v1-tiny-en/ggml-model-f16.gguf"
VISION = "ggml-org/tinygemma3-GGUF:Q8_0/"

HEAD = Path(__file__).with_name("ranker.npy")
BLOCKS = 2

_PRESET = """\
[tinygemma3-preset]
hf-repo = ggml-org/tinygemma3-GGUF:Q8_0

[stories260K-test]
hf-repo = ggml-org/test-model-stories260K
"""


def make(folder: Path, minilm: Path) -> None:
    """Write the models into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = variants.plain(folder / "plain.gguf")
    variants.with_hello(folder / "hello.gguf")
    variants.with_infill(folder / "infill.gguf")
    variants.draft(folder / "draft.gguf")
    projector.projector(folder / "projector.gguf")
    encoder(folder / "embedding.gguf", minilm)
    encoder(folder / "ranker.gguf", minilm, head=HEAD)
    fixtures.split_model(folder, base=plain)
    fixtures.picture(folder / "truck.png", height=40, blue=20)
    fixtures.picture(folder / "cat.png", height=40, blue=200)
    (folder / "preset.ini").write_text(_PRESET)


def fill(hub: Hub, folder: Path) -> None:
    """Put them into the Hub."""
    plain, vision = folder / "plain.gguf", "ggml-org/tinygemma3-GGUF"
    split = {
        f"tinyllamas/split/stories15M-q8_0-{number:05d}-of-00003.gguf": folder / name
        for number in (1, 2, 3)
        for name in (f"plain-{number:05d}-of-00003.gguf",)
    }
    hub.add("ggml-org/test-model-stories260K", {"stories260K-f32.gguf": plain})
    infill = {"stories260K-infill-f32.gguf": folder / "infill.gguf"}
    hub.add("ggml-org/test-model-stories260K-infill", infill)
    hub.add("ggml-org/test-model-router-download", {"model-F16.gguf": plain})
    hub.add("ggml-org/test-preset-ci", {"preset.ini": folder / "preset.ini"})
    ranks, vectors = (name.removeprefix("ggml-org/models/") for name in (RANKER, EMBEDDING))
    encoders = {vectors: folder / "embedding.gguf", ranks: folder / "ranker.gguf"}
    hub.add("ggml-org/models", {**encoders, **split})
    moe = {"stories15M_MOE-F16.gguf": folder / "hello.gguf", "moe_shakespeare15M.gguf": LORA}
    hub.add("ggml-org/stories15M_MOE", moe)
    hub.add("ggml-org/tiny-llamas", {"stories15M-q4_0.gguf": folder / "draft.gguf"})
    pictures = {"11_truck": folder / "truck.png", "91_cat": folder / "cat.png"}
    files = {f"test/{name}.png": path for name, path in pictures.items()}
    files |= {"tinygemma3-Q8_0.gguf": plain, "mmproj-tinygemma3.gguf": folder / "projector.gguf"}
    hub.add(vision, files)


def encoder(to: Path, minilm: Path, *, head: Path | None = None) -> Path:
    """Write MiniLM with its first two blocks, which is quick; with ``head`` it ranks.

    The head was fitted to the encodings of 15 questions with 30 sentences each, of which two answer
    it. Matrices are F32, because the lowest CPU level has no instruction for F16.
    """
    reader = GGUFReader(minilm)
    writer = GGUFWriter(to, string_value(reader, "general.architecture"))
    changes = {"bert.block_count": BLOCKS}
    if head is not None:
        changes["bert.pooling_type"] = 4  # LLAMA_POOLING_TYPE_RANK
    copy_metadata(reader, writer, replace=changes)
    for tensor in reader.tensors:
        number = int(tensor.name.split(".")[1]) if tensor.name.startswith("blk.") else -1
        if number < BLOCKS:
            small = number >= 0 or tensor.data.ndim < 2
            data = tensor.data.astype(np.float32) if small else tensor.data
            writer.add_tensor(tensor.name, data)
    if head is not None:
        writer.add_tensor("cls.output.weight", np.load(head))
    return save(writer, to)
