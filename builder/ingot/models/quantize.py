"""Quantising a GGUF with the engine's own quantiser, and an importance matrix where one is wanted.

What is decided here is what can be refused before hours of computing; the mix of types per tensor
is the engine's business and is read off the result.
"""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot import process
from ingot.bundle.output import check_output
from ingot.console import Progress, Step, size
from ingot.errors import InputError, UsageError
from ingot.gguf.join import Weights, load_weights
from ingot.gguf.model import Tensor
from ingot.paths import cache_dir
from ingot.sources.partial import free_space

# tools/quantize/quantize.cpp of the pinned engine; a test holds the list to it.
TYPES = (
    *("Q1_0", "Q2_0", "Q4_0", "Q4_1", "MXFP4_MOE", "Q5_0", "Q5_1", "IQ2_XXS", "IQ2_XS", "IQ2_S"),
    *("IQ2_M", "IQ1_S", "IQ1_M", "TQ1_0", "TQ2_0", "Q2_K", "Q2_K_S", "IQ3_XXS", "IQ3_S", "IQ3_M"),
    *("Q3_K", "IQ3_XS", "Q3_K_S", "Q3_K_M", "Q3_K_L", "IQ4_NL", "IQ4_XS", "Q4_K", "Q4_K_S"),
    *("Q4_K_M", "Q5_K", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0", "F16", "BF16", "F32"),
)
# Those that make tensors of which the engine refuses to quantise without a matrix.
NEED_IMATRIX = frozenset(
    {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "Q2_K_S"}
)
_PLAIN = frozenset({"F32", "F16", "BF16"})
_CONTEXT = 512  # tokens of a piece of the calibration text, as upstream's default
_TENSOR = re.compile(r"\[\s*(\d+)/\s*(\d+)\]")
_CHUNKS = re.compile(r"over (\d+) chunks|computing (\d+) chunks")
_CHUNK = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True)
class Change:
    """What became of a tensor; sizes are bytes."""

    name: str
    elements: int
    before: str
    after: str
    size_before: int
    size_after: int


@dataclass(frozen=True)
class Quantized:
    """A model that was written; ``seconds`` is what the quantiser took."""

    path: Path
    type: str
    changes: tuple[Change, ...]
    size_before: int
    size_after: int
    imatrix: str | None
    seconds: float

    @property
    def bits_per_weight(self) -> float:
        """Of all tensors together."""
        return sum(c.size_after for c in self.changes) * 8 / sum(c.elements for c in self.changes)


def type_named(text: str) -> str:
    """The quantisation that ``text`` means, in any case. Raises UsageError ``unknown-type``."""
    name = text.upper()
    if name in TYPES:
        return name
    near = difflib.get_close_matches(name, TYPES, n=3, cutoff=0.5)
    guess = f"did you mean {' or '.join(near)}?" if near else f"one of: {', '.join(TYPES)}"
    raise UsageError(f"there is no quantisation type {text!r}", hint=guess, code="unknown-type")


def check(
    source: Path,
    output: Path,
    kind: str,
    imatrix: Path | None,
    *,
    requantize: bool = False,
    force: bool = False,
) -> Weights:
    """Everything that can be refused beforehand.

    Raises InputError (``load_weights``, ``check_output``, ``already-quantised``, ``no-imatrix``,
    ``file-unreadable``).
    """
    weights = load_weights(source)
    check_output(output, [*weights.files, *([imatrix] if imatrix else [])], force=force)
    types = {tensor.type for tensor in weights.gguf.tensors if len(tensor.shape) > 1}
    quantised = sorted(types - _PLAIN)
    if quantised and not requantize:
        raise InputError(
            f"{source}: is quantised already ({', '.join(quantised)}): doing it twice loses more",
            hint="start from the F16, BF16 or F32 model, or insist with --requantize",
            code="already-quantised",
        )
    if kind in NEED_IMATRIX and imatrix is None:
        raise InputError(
            f"{kind} needs an importance matrix",
            hint="give a text like what the model is for, or a ready matrix: --imatrix FILE",
            code="no-imatrix",
        )
    if imatrix is not None and not os.access(imatrix, os.R_OK):
        raise InputError(f"{imatrix}: there is no such file", code="file-unreadable")
    return weights


def quantize(
    program: Path,
    weights: Weights,
    output: Path,
    kind: str,
    progress: Progress,
    *,
    imatrix: Path | None = None,
    threads: int | None = None,
    requantize: bool = False,
) -> Quantized:
    """Write ``output``, whole or not at all. ``program`` is the workbench.

    ``imatrix`` is a matrix as llama.cpp writes it, or a text that one is computed from. Raises
    ToolchainError with the tool's own words.
    """
    count = threads or len(os.sched_getaffinity(0))
    place = output.absolute().parent
    with tempfile.TemporaryDirectory(prefix=".ingot-quantize-", dir=place) as name:
        folder = Path(name)
        matrix = imatrix
        if imatrix is not None and not _is_matrix(imatrix):
            matrix = folder / "imatrix.gguf"
            _compute_matrix(program, weights, imatrix, matrix, count, progress)
        made = folder / output.name
        words: list[str | Path] = ["--allow-requantize"] if requantize else []
        words += ["--imatrix", matrix] if matrix else []
        words += [weights.files[0].absolute(), made, kind, str(count)]
        with progress.step(f"Quantising {weights.file_name} to {kind}") as step:
            done = _run(program, "quantize", words, lambda line: _tensor(line, step))
        after = _written(made, output)
        result = Quantized(
            path=output,
            type=kind,
            changes=_changes(weights.gguf.tensors, after.gguf.tensors),
            size_before=weights.gguf.size,
            size_after=after.gguf.size,
            imatrix=str(imatrix) if imatrix else None,
            seconds=done.seconds,
        )
        made.replace(output)
    return result


def _written(made: Path, output: Path) -> Weights:
    """What the quantiser wrote; it does not always notice that it could not."""
    try:
        return load_weights(made)
    except InputError as error:
        lacking = made.stat().st_size if made.exists() else 0
        raise InputError(
            f"{output}: the quantiser could not write it whole",
            hint=f"its folder has {size(free_space(output.absolute().parent))} left, after "
            f"{size(lacking)} of the file; make room, or write elsewhere",
            code="disk-full",
        ) from error


def _run(
    program: Path, verb: str, words: Sequence[str | Path], on_line: Callable[[str], None]
) -> process.Completed:
    log = cache_dir() / "logs" / f"{verb}.log"
    return process.run([program, verb, *words], log=log, on_line=on_line, what=verb)


def _is_matrix(path: Path) -> bool:
    """A GGUF, or the older format, which is binary: a text has no NUL among its first bytes."""
    with path.open("rb") as file:
        head = file.read(4096)
    return head.startswith(b"GGUF") or b"\0" in head


def _compute_matrix(
    program: Path, weights: Weights, text: Path, matrix: Path, threads: int, progress: Progress
) -> None:
    model = weights.files[0].absolute()
    words: list[str | Path] = ["-m", model, "-f", text.absolute(), "-o", matrix]
    words += ["-c", str(_CONTEXT), "-t", str(threads), "--no-ppl", "--gpu", "none"]
    seen: dict[str, int] = {}
    with progress.step(f"Computing an importance matrix from {text.name}") as step:
        _run(program, "imatrix", words, lambda line: _chunk(line, seen, step))


def _tensor(line: str, step: Step) -> None:
    match = _TENSOR.search(line)
    if match:
        at, count = int(match[1]), int(match[2])
        step.update(at, count, f"{at} of {count} tensors")


def _chunk(line: str, seen: dict[str, int], step: Step) -> None:
    total = _CHUNKS.search(line)
    if total:
        seen["total"] = int(total[1] or total[2])
    for match in _CHUNK.finditer(line):
        if "total" in seen:
            step.update(int(match[1]), seen["total"], f"{match[1]} of {seen['total']} pieces")


def _changes(before: Sequence[Tensor], after: Sequence[Tensor]) -> tuple[Change, ...]:
    old: Mapping[str, Tensor] = {tensor.name: tensor for tensor in before}
    return tuple(
        Change(
            tensor.name,
            tensor.elements,
            old[tensor.name].type,
            tensor.type,
            old[tensor.name].size,
            tensor.size,
        )
        for tensor in after
        if tensor.name in old
    )
