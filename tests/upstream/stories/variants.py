"""The models that the tests ask for, out of the one that was trained: it is cut short at the end of
the vocabulary, or made again with what stands beside a text model.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFWriter

from tests.models.ggufs import copy_metadata, save, string_value
from tests.upstream.stories import HERE, MODEL
from tests.upstream.stories.shape import SHAPE
from tests.upstream.stories.vocabulary import FIM, HELLO, Vocabulary

_ROWS = ("token_embd.weight", "output.weight")
_LISTS = ("tokens", "scores", "token_type")


def plain(to: Path) -> Path:
    """The pieces that are common to all."""
    return _variant(to, ())


def with_hello(to: Path) -> Path:
    """ "Hello" is one token, as in a vocabulary of 32,000."""
    return _variant(to, HELLO)


def with_infill(to: Path) -> Path:
    """With the marks of an infill prompt."""
    return _variant(to, FIM)


def draft(to: Path) -> Path:
    """The first block of ``with_hello``, whose output was trained as well."""
    return _variant(to, HELLO, blocks=1)


def _variant(to: Path, extra: tuple[str, ...], blocks: int = SHAPE.blocks) -> Path:
    vocabulary = Vocabulary(HERE / "pieces.txt")
    rows = [vocabulary.ids[piece] for piece in (*vocabulary.common, *extra)]
    reader = GGUFReader(MODEL)
    writer = GGUFWriter(to, string_value(reader, "general.architecture"))
    lists = tuple(f"tokenizer.ggml.{name}" for name in _LISTS)
    others = tuple(name for name in reader.fields if name not in (*lists, "llama.block_count"))
    copy_metadata(reader, writer, only=others)
    writer.add_block_count(blocks)
    for name in lists:
        values = reader.fields[name].contents()
        writer.add_array(name, [values[row] for row in rows])
    for mark, piece in zip(("pre", "suf", "mid"), FIM, strict=True):
        if piece in extra:
            number = len(vocabulary.common) + extra.index(piece)
            writer.add_uint32(f"tokenizer.ggml.fim_{mark}_token_id", number)
    for tensor in reader.tensors:
        if not tensor.name.startswith("blk.") or int(tensor.name.split(".")[1]) < blocks:
            data = tensor.data[rows] if tensor.name in _ROWS else tensor.data
            writer.add_tensor(tensor.name, np.ascontiguousarray(data))
    return save(writer, to)
