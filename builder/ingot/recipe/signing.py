"""Having an executable signed by the program that its recipe names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot import process
from ingot.bundle.reader import open_bundle
from ingot.errors import IntegrityError
from ingot.paths import cache_dir
from ingot.toolchain.packages import sha256_of


@dataclass(frozen=True)
class Signed:
    """An executable that was signed, in seconds; ``sha256`` is still that of the executable."""

    path: Path
    sha256: str
    seconds: float


def sign(executable: Path, command: Sequence[str]) -> Signed:
    """Run ``command`` with the path of ``executable`` for each ``{file}``.

    Raises ToolchainError when it fails, IntegrityError ``changed-by-signing`` when the executable
    is another afterwards: its own end is how it is read, so signatures are files beside it.
    """
    with open_bundle(executable):
        pass
    before = sha256_of(executable)
    words = [word.replace("{file}", str(executable.absolute())) for word in command]
    log = cache_dir() / "logs" / f"sign-{executable.name}.log"
    done = process.run(words, log=log, what=f"signing by {command[0]}")
    if sha256_of(executable) != before:
        raise IntegrityError(
            f"{executable}: was changed by {command[0]}",
            hint="have it write a detached signature, into a file of its own",
            code="changed-by-signing",
        )
    return Signed(executable, before, done.seconds)
