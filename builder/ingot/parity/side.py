"""A side of a comparison: something that turns tokens into numbers. See trace of executables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ingot.console import Progress


@dataclass(frozen=True)
class Tokens:
    """A text without special tokens, and the token that the model wants in front, if any."""

    ids: tuple[int, ...]
    begins_with: int | None


@dataclass(frozen=True)
class Job:
    """What to compute.

    Of each of ``sequences`` the positions from ``first`` on are scored: row i is what follows
    token i. ``layers`` are the tokens whose residual streams are wanted. ``prompts`` are continued
    greedily by ``continued`` tokens. ``context`` is the longest of all of it, in tokens.
    """

    sequences: tuple[tuple[int, ...], ...] = ()
    first: int = 0
    layers: tuple[int, ...] = ()
    prompts: tuple[tuple[int, ...], ...] = ()
    continued: int = 0
    context: int = 512

    @property
    def rows(self) -> int:
        """How many positions are scored."""
        return sum(len(sequence) - self.first for sequence in self.sequences)


@dataclass(frozen=True)
class Logits:
    """A file of float32, little endian: [row][vocabulary]."""

    path: Path
    vocabulary: int


@dataclass(frozen=True)
class Listed:
    """The likeliest ``count`` tokens of each row, best first.

    ``ids`` is a file of int32, -1 where a row has fewer; ``logs`` one of float32, the natural
    logarithms of probabilities. Both are [row][count].
    """

    ids: Path
    logs: Path
    count: int


@dataclass(frozen=True)
class Layers:
    """A file of float32: [layer][token][width]; ``indices`` number the layers from 0."""

    path: Path
    indices: tuple[int, ...]
    width: int


@dataclass(frozen=True)
class Greedy:
    """A greedy continuation: per token the best candidates as (token, logit or logarithm)."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    text: str
    steps: tuple[tuple[tuple[int, float], ...], ...]


@dataclass(frozen=True)
class Numbers:
    """What a side gave for a Job. ``facts`` are for the reader: engine, module, threads."""

    scores: Logits | Listed | None = None
    layers: Layers | None = None
    greedy: tuple[Greedy, ...] = ()
    facts: dict[str, str | int] = field(default_factory=dict)


class Side(Protocol):
    """One of the two that are compared."""

    @property
    def name(self) -> str:
        """As the user wrote it."""

    @property
    def vocabulary(self) -> int | None:
        """How many tokens it has; None if only its logits tell."""

    @property
    def embeds(self) -> bool:
        """Is it a model that gives vectors and not text?"""

    @property
    def listed(self) -> int | None:
        """How many candidates of a position it tells; None for all logits."""

    def tokenize(self, text: str, progress: Progress) -> Tokens:
        """The text as this side reads it."""

    def run(self, job: Job, folder: Path, progress: Progress) -> Numbers:
        """Compute; files go into ``folder``, an empty one of this side's own."""

    def embed(self, texts: Sequence[str], folder: Path, progress: Progress) -> list[list[float]]:
        """One vector per text."""
