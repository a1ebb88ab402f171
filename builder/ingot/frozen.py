"""What is different in the single binary that PyInstaller makes of Ingot (recipes/ingot.spec).

Its bootloader is our parent: it unpacks the libraries, sets variables that are meant for us alone,
and passes on every signal that it gets.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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


def interrupt_once(number: int, frame: FrameType | None) -> None:
    """A signal handler: KeyboardInterrupt for the first signal, and no ear for any other.

    Ctrl-C reaches us from the terminal and, 0.1 ms later or more, from the bootloader. The second
    one would interrupt the cleaning up after the first, or end a Python that is about to exit.
    """
    for other in ENDING_SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    signal.default_int_handler(number, frame)
