"""A Hugging Face folder as a side: transformers computes it, in float32, in a child process.

Weights are taken from safetensors alone. A pickle can run any program, and so can code that a
folder brings along: neither is ever used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot.console import Progress
from ingot.errors import InputError, UsageError
from ingot.models.checkpoint import open_checkpoint
from ingot.parity import child
from ingot.parity.local import TOP, greedy_of
from ingot.parity.side import Job, Layers, Logits, Numbers, Tokens
from ingot.parity.spec import Spec

_WRITES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_SENTENCES = "modules.json"  # written by sentence-transformers, for models that give vectors


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
    """The model in the folder, which is whole; nothing of it is loaded.

    Raises InputError: the codes of ``open_checkpoint`` for any architecture, ``needs-remote-code``.
    """
    assert spec.path is not None
    if spec.engine or spec.cpu or spec.gpu:
        raise UsageError(
            f"{spec.written}: a folder is computed by transformers, which has no such modules",
            hint="give the folder without suffixes",
            code="bad-suffix",
        )
    checkpoint = open_checkpoint(spec.path)
    config = checkpoint.config
    if config.get("auto_map"):
        raise InputError(
            f"{spec.path}: this model needs code from its folder, which is never run",
            hint="compare with a GGUF of the model that somebody you trust has converted",
            code="needs-remote-code",
        )
    if config.get("transformers_weights"):
        raise InputError(
            f"{spec.path}: config.json names a file of weights ('transformers_weights')",
            hint="remove the line: only model.safetensors or what its index lists is read",
            code="bad-checkpoint",
        )
    text = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    vocabulary = text.get("vocab_size") if isinstance(text, dict) else None
    writes = checkpoint.architecture.endswith(_WRITES)
    return HuggingFace(
        name=spec.written,
        folder=spec.path,
        vocabulary=vocabulary if isinstance(vocabulary, int) else None,
        embeds=not writes or (spec.path / _SENTENCES).exists(),
    )
