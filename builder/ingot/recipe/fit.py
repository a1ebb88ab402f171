"""Do the parts of a recipe fit each other? Pure checks on GGUF headers.

They repeat what the engine checks when it loads (tools/mtmd/mtmd.cpp, src/llama-adapter.cpp,
common/speculative.cpp), so that an author learns it now and not a user later.
"""

from __future__ import annotations

import math
from typing import NoReturn

from ingot.console import printable
from ingot.errors import InputError
from ingot.gguf.facts import vocabulary_size
from ingot.gguf.model import Gguf

# Projector types whose converters wrote CLIP's own projection_dim, or 0, not the text model's
# width (the engine's legacy converters); for these the width is read off a tensor or not checked.
_LEGACY_PROJECTORS = frozenset({"mlp", "mlp_norm", "ldp", "ldpv2", "resampler", "adapter"})
_LEGACY_TENSORS = {"mlp": "mm.2.weight"}

# common/speculative.cpp: SPEC_VOCAB_MAX_SIZE_DIFFERENCE
_DRAFT_VOCABULARY_SLACK = 128
_MAX_CONTEXT = 2**31 - 1  # tokens; the engine rounds up, and counts with 32 bits


def check_model(gguf: Gguf) -> None:
    """The main model must be one. Raises InputError ``not-a-model``."""
    if is_projector(gguf):
        _refuse(gguf, "is a projector, not a model", "give it with --mmproj, next to its model")
    kind = gguf.text("general.type")
    if kind == "adapter":
        _refuse(gguf, "is a LoRA adapter, not a model", "give it with --lora, next to its model")
    if not gguf.text("general.architecture"):
        _refuse(gguf, "does not say its architecture", "convert the model again")
    if kind == "imatrix" or gguf.architecture == "imatrix":
        _refuse(gguf, "is an importance matrix, not a model", "give the model itself")
    if not gguf.tensors:
        _refuse(gguf, "has no tensors: it is a vocabulary only", "give the whole model")
    _check_numbers(gguf)


def _check_numbers(gguf: Gguf) -> None:
    """What the engine loads without a word and then cannot compute with."""
    for key, value in gguf.kv.items():
        if not isinstance(value, float) or not key.startswith(f"{gguf.architecture}."):
            continue
        if math.isnan(value) or (key.endswith("epsilon") and not 0 <= value < math.inf):
            _refuse(gguf, f"{printable(key)} is {value}", "convert the model again")
    context = gguf.integer(f"{gguf.architecture}.context_length")
    if context is not None and not 0 < context <= _MAX_CONTEXT:
        _refuse(gguf, f"its context length is {context}", "convert the model again")


def is_projector(gguf: Gguf) -> bool:
    """Whether this GGUF is a multimodal projector."""
    return gguf.text("general.type") == "mmproj" or gguf.architecture == "clip"


def check_projector(projector: Gguf, model: Gguf) -> None:
    """Raises InputError ``not-a-projector`` or ``projector-mismatch``."""
    if not is_projector(projector):
        architecture = printable(projector.architecture)
        raise InputError(
            f"{projector.name}: is not a projector (its architecture is {architecture})",
            hint="projectors are usually called mmproj-….gguf",
            code="not-a-projector",
        )
    width = _projection_width(projector)
    expected = model.integer(f"{model.architecture}.embedding_length")
    if width is not None and expected is not None and width != expected:
        raise InputError(
            f"{projector.name}: does not fit the model: it projects to {width} dimensions, "
            f"{model.name} has embeddings of {expected}",
            hint="use the projector that was published with this model",
            code="projector-mismatch",
        )


def check_lora(lora: Gguf, model: Gguf) -> None:
    """Raises InputError ``not-a-lora`` or ``lora-mismatch``."""
    kind = (lora.text("general.type"), lora.text("adapter.type"))
    if kind != ("adapter", "lora"):
        raise InputError(
            f"{lora.name}: is not a LoRA adapter in GGUF format",
            hint="convert the adapter with the engine's convert_lora_to_gguf.py",
            code="not-a-lora",
        )
    if lora.architecture != model.architecture:
        raise InputError(
            f"{lora.name}: was made for the architecture {printable(lora.architecture)}, "
            f"{model.name} is {printable(model.architecture)}",
            hint="use an adapter that was trained on this model",
            code="lora-mismatch",
        )


def check_draft(draft: Gguf, model: Gguf) -> None:
    """A draft model must speak the same tokens. Raises InputError ``draft-mismatch``."""
    check_model(draft)
    kinds = tuple(gguf.text("tokenizer.ggml.model") for gguf in (draft, model))
    sizes = tuple(vocabulary_size(gguf) for gguf in (draft, model))
    if kinds[0] is not None and kinds[1] is not None and kinds[0] != kinds[1]:
        own, other = map(printable, (kinds[0], kinds[1]))
        _draft_mismatch(draft, f"its tokenizer is {own}, the model's is {other}")
    if sizes[0] is None or sizes[1] is None:
        return  # A head that drafts from the target's own states has no vocabulary of its own.
    if abs(sizes[0] - sizes[1]) > _DRAFT_VOCABULARY_SLACK:
        _draft_mismatch(draft, f"it has {sizes[0]} tokens, the model has {sizes[1]}")


def _projection_width(projector: Gguf) -> int | None:
    """The dimensions of the vectors that it hands to the text model; None if unknown."""
    for tower in ("vision", "audio"):
        kind = projector.text("clip.projector_type") or projector.text(
            f"clip.{tower}.projector_type"
        )
        if kind in _LEGACY_PROJECTORS:
            wanted = _LEGACY_TENSORS.get(kind)
            shapes = [t.shape for t in projector.tensors if t.name == wanted]
            return shapes[0][1] if shapes and len(shapes[0]) > 1 else None
        width = projector.integer(f"clip.{tower}.projection_dim")
        if width:
            return width
    return None


def _refuse(gguf: Gguf, what: str, hint: str) -> NoReturn:
    raise InputError(f"{gguf.name}: {what}", hint=hint, code="not-a-model")


def _draft_mismatch(draft: Gguf, what: str) -> NoReturn:
    raise InputError(
        f"{draft.name}: cannot draft for this model: {what}",
        hint="use a smaller model of the same family",
        code="draft-mismatch",
    )
