"""What is different in the single binary that PyInstaller makes of Ingot (recipes/ingot.spec).

Its bootloader is our parent: it unpacks the libraries, sets variables that are meant for us alone,
and passes on every signal that it gets.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType

_TOGETHER = 0.2  # seconds; 0.0001 was measured

Handler = Callable[[int, FrameType | None], object]


def is_frozen() -> bool:
    """Is this the single binary? Then ``sys.executable`` is no Python."""
    return bool(getattr(sys, "frozen", False))


def without_bootloader(env: dict[str, str]) -> dict[str, str]:
    """``env`` as a child should have it.

    A frozen child would take us for its own bootloader (PyInstaller 6.22.1 and later check the
    parent), and any other would load our libraries instead of its own.
    """
    env = {name: value for name, value in env.items() if not name.startswith("_PYI_")}
    if is_frozen():
        original = env.pop("LD_LIBRARY_PATH_ORIG", None)
        env.pop("LD_LIBRARY_PATH", None)
        if original is not None:
            env["LD_LIBRARY_PATH"] = original
    return env


def once(handler: Handler) -> Handler:
    """``handler``, which does not hear a signal that follows another at once.

    Ctrl-C reaches us from the terminal and again from the bootloader; the second one would
    interrupt the cleaning up after the first.
    """
    last = -_TOGETHER

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before >= _TOGETHER:
            handler(number, frame)

    return hear
