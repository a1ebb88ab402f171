"""A Hugging Face folder as a side: transformers computes it, in float32, in a child process.

Weights are taken from safetensors alone. A pickle can run any program, and so can code that a
folder brings along: neither is ever used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot.console import Progress
from ingot.errors import InputError, UsageError
from ingot.parity import child
from ingot.parity.local import TOP, greedy_of
from ingot.parity.side import Job, Layers, Logits, Numbers, Tokens
from ingot.parity.spec import Spec

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_WRITES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_SENTENCES = "modules.json"  # written by sentence-transformers, for models that give vectors
_CONFIG_LIMIT = 1 << 20  # bytes; they have a few thousand


@dataclass(frozen=True)
class HuggingFace:
    """A folder with config.json, a tokenizer and safetensors."""

    name: str
    folder: Path
    vocabulary: int | None
    embeds: bool
    listed: int | None = None

    def tokenize(self, text: str, progress: Progress) -> Tokens:
        """See Side."""
        with progress.step(f"Reading the text with {self.name}"):
            answer = self._ask({"tokenize": text}, progress)
        return Tokens(tuple(answer["tokens"]), answer["begins_with"])

    def run(self, job: Job, folder: Path, progress: Progress) -> Numbers:
        """See Side."""
        request: dict[str, Any] = {}
        if job.sequences:
            logits = str(folder / "logits")
            request["score"] = {
                "sequences": job.sequences,
                "first": job.first,
                "logits": logits,
            }
        if job.layers:
            request["layers"] = {"tokens": job.layers, "streams": str(folder / "streams")}
        if job.prompts:
            request["greedy"] = {"prompts": job.prompts, "tokens": job.continued, "top": TOP}
        with progress.step(f"Running {self.name} with transformers"):
            answer = self._ask(request, progress)
        model = answer["model"]
        scores = layers = None
        if job.sequences:
            scores = Logits(folder / "logits", model["vocabulary"])
        if answer.get("layers"):
            indices = tuple(answer["layers"])
            layers = Layers(folder / "streams", indices, model["embedding_length"])
        greedy = tuple(greedy_of(item) for item in answer.get("greedy", ()))
        facts = {"kind": "transformers", "precision": "float32", "threads": model["threads"]}
        return Numbers(scores, layers, greedy, facts)

    def embed(self, texts: Sequence[str], folder: Path, progress: Progress) -> list[list[float]]:
        """See Side."""
        with progress.step(f"Running {self.name} with transformers"):
            vectors = self._ask({"embed": list(texts)}, progress)["vectors"]
        return [[float(value) for value in vector] for vector in vectors]

    def _ask(self, request: Mapping[str, Any], progress: Progress) -> Any:
        folder = str(self.folder.absolute())
        return child.do(child.TRANSFORMER, {"folder": folder, **request}, progress)


def open_folder(spec: Spec) -> HuggingFace:
    """The model in the folder; InputError ``no-model-in-folder`` or ``pickled-weights``."""
    assert spec.path is not None
    if spec.engine or spec.cpu or spec.gpu:
        raise UsageError(
            f"{spec.written}: a folder is computed by transformers, which has no such modules",
            hint="give the folder without suffixes",
            code="bad-suffix",
        )
    config = _config(spec.path)
    _check_weights(spec.path)
    if config.get("auto_map"):
        raise InputError(
            f"{spec.path}: this model needs code from its folder, which is never run",
            hint="compare with a GGUF of the model that somebody you trust has converted",
            code="needs-remote-code",
        )
    names = config.get("architectures") or [""]
    text = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    vocabulary = text.get("vocab_size") if isinstance(text, dict) else None
    return HuggingFace(
        name=spec.written,
        folder=spec.path,
        vocabulary=vocabulary if isinstance(vocabulary, int) else None,
        embeds=not str(names[0]).endswith(_WRITES) or (spec.path / _SENTENCES).exists(),
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        if path.stat().st_size > _CONFIG_LIMIT:
            raise ValueError("it is too large")
        config = json.loads(path.read_text("utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it is not an object")
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{folder}: no model in Hugging Face's layout: config.json: {reason}",
            hint="give the folder with config.json, the tokenizer and *.safetensors",
            code="no-model-in-folder",
        ) from error
    return config


def _check_weights(folder: Path) -> None:
    if any(folder.glob("*.safetensors")):
        return
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise InputError(
            f"{folder}: its weights are pickles ({pickles[0]}), which can run any program",
            hint="get or make the same weights as *.safetensors",
            code="pickled-weights",
        )
    raise InputError(
        f"{folder}: there are no weights (*.safetensors)",
        hint="give the folder with config.json, the tokenizer and *.safetensors",
        code="no-model-in-folder",
    )
