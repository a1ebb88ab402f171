"""What the benchmarks share: a row of the table, and what each case is given."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ingot.console import Console
from ingot.engine.image import RuntimeImage
from ingot.recipe.build import build
from ingot.recipe.plan import Artefact
from tests.bench.peer import Peer, ensure_peer

Command = list[str | os.PathLike[str]]
THREADS = str(os.cpu_count() or 1)
INGOT = (sys.executable, "-P", "-m", "ingot")


@dataclass(frozen=True)
class Row:
    """One line of the table, as it is printed."""

    what: str
    ours: str
    peer: str
    ratio: str
    aim: str


@dataclass(frozen=True)
class Bench:
    """What the cases share: a scratch folder, the runtime, and the executable of the demo model."""

    folder: Path
    runtime: RuntimeImage
    hello: Path
    console: Console

    def cast(self, model: Path, name: str) -> Path:
        """An executable of ``model`` in the scratch folder."""
        output = self.folder / name
        return build(
            Artefact(model=model, output=output, name=name), self.runtime, self.console, force=True
        ).path

    def peer(self) -> Peer:
        """The engine as gcc compiles it."""
        return ensure_peer(self.console)
