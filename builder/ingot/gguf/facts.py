"""What an end user wants to know about a model, derived from its GGUF header. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ingot.gguf.model import Gguf, SkippedString
from ingot.gguf.types import FILE_TYPE_GUESSED, FILE_TYPES

# Architectures of the pinned engine that only encode (src/llama-arch.cpp): they give vectors,
# not text, whether or not the file says how to pool them.
ENCODERS = frozenset(
    {
        "bert",
        "modern-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "neo-bert",
        "jina-bert-v2",
        "jina-bert-v3",
        "eurobert",
        "gemma-embedding",
        "llama-embed",
        "t5encoder",
    }
)
_POOLING_NONE = 0


@dataclass(frozen=True)
class TypeShare:
    """How many tensors have one type, and how many bytes they take."""

    count: int
    bytes: int


@dataclass(frozen=True)
class ModelFacts:
    """The manifest's ``model`` object. ``size`` is the GGUF's size in bytes; lengths are tokens.

    ``embedding`` is true for encoders and for models that carry a pooling type.
    """

    name: str | None
    architecture: str
    parameters: int
    context_length: int | None
    embedding_length: int | None
    block_count: int | None
    quantization: str
    tensor_types: Mapping[str, TypeShare]
    license: str | None
    chat_template: bool
    embedding: bool
    vocabulary: int | None
    size: int

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the manifest."""
        document = asdict(self)
        document["tensor_types"] = {k: asdict(v) for k, v in self.tensor_types.items()}
        return document


def model_facts(gguf: Gguf) -> ModelFacts:
    """Derive the facts from a header that the reader accepted."""
    arch = gguf.architecture
    types = tensor_types(gguf)
    pooling = gguf.integer(f"{arch}.pooling_type")
    return ModelFacts(
        name=gguf.text("general.name"),
        architecture=arch,
        parameters=sum(tensor.elements for tensor in gguf.tensors),
        context_length=gguf.integer(f"{arch}.context_length"),
        embedding_length=gguf.integer(f"{arch}.embedding_length"),
        block_count=gguf.integer(f"{arch}.block_count"),
        quantization=_quantization(gguf, types),
        tensor_types=types,
        license=gguf.text("general.license"),
        chat_template=has_chat_template(gguf),
        embedding=arch in ENCODERS or (pooling is not None and pooling != _POOLING_NONE),
        vocabulary=vocabulary_size(gguf),
        size=gguf.size,
    )


def has_chat_template(gguf: Gguf) -> bool:
    """Whether the engine finds a chat template that is not blank: the default one, or that for the
    use of tools where there is no default.
    """
    for key in ("tokenizer.chat_template", "tokenizer.chat_template.tool_use"):
        value = gguf.kv.get(key)
        if isinstance(value, SkippedString):
            return True
        if isinstance(value, str) and value:
            return not value.isspace()
    return False


def tensor_types(gguf: Gguf) -> dict[str, TypeShare]:
    """Tensor types with their number of tensors and bytes, the largest share first."""
    shares: dict[str, TypeShare] = {}
    for tensor in gguf.tensors:
        share = shares.get(tensor.type, TypeShare(0, 0))
        shares[tensor.type] = TypeShare(share.count + 1, share.bytes + tensor.size)
    return dict(sorted(shares.items(), key=lambda item: (-item[1].bytes, item[0])))


def vocabulary_size(gguf: Gguf) -> int | None:
    """Number of tokens; None for a model without a vocabulary."""
    tokens = gguf.count("tokenizer.ggml.tokens")
    return tokens if tokens is not None else gguf.integer(f"{gguf.architecture}.vocab_size")


def _quantization(gguf: Gguf, types: Mapping[str, TypeShare]) -> str:
    """What the quantiser says it made; failing that, the type of most bytes."""
    declared = gguf.integer("general.file_type")
    if declared is not None and not declared & FILE_TYPE_GUESSED and declared in FILE_TYPES:
        return FILE_TYPES[declared]
    return next(iter(types), "none")
