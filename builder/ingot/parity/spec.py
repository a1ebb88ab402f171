"""What the words A and B of ``ingot compare`` mean. Pure: nothing is opened here.

model.gguf  hello  folder/  http://127.0.0.1:8080      with suffixes, in this order:
@0.3.36     another pinned version of the engine
:cpu=NAME   only this CPU module
:gpu=NAME   nvidia, amd, apple, vulkan, or none: as ``--gpu`` of executables
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ingot.errors import UsageError

GPUS = ("auto", "none", "nvidia", "amd", "apple", "vulkan")
_KEYS = ("cpu", "gpu")
_URL = re.compile(r"https?://", re.IGNORECASE)
_VERSION = re.compile(r"(.*[^/@])@([^/@]*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Spec:
    """One side as it was written: exactly one of ``url`` and ``path`` is set."""

    written: str
    url: str | None = None
    path: Path | None = None
    engine: str | None = None
    cpu: str | None = None
    gpu: str | None = None


def parse(written: str, exists: Callable[[Path], bool] = Path.exists) -> Spec:
    """The side that ``written`` names. A path that exists as it is has no suffixes.

    Raises UsageError ``bad-suffix``.
    """
    if not written:
        raise UsageError("a side to compare is empty", hint="give a file, a folder or a URL")
    if _URL.match(written):
        return Spec(written, url=written.rstrip("/"))
    if exists(Path(written)):
        return Spec(written, path=Path(written))
    rest, settings = _settings(written)
    found = _VERSION.fullmatch(rest)
    if found is None:
        return Spec(written, path=Path(rest), **settings)
    if not _NAME.fullmatch(found[2]):
        raise _bad(written, f"'@{found[2]}' names no engine version")
    return Spec(written, path=Path(found[1]), engine=found[2], **settings)


def _settings(written: str) -> tuple[str, dict[str, str]]:
    """``x:cpu=haswell`` as ``x`` and its settings."""
    folder, slash, name = written.rpartition("/")
    first, *parts = name.split(":")
    settings: dict[str, str] = {}
    for part in parts:
        key, _, value = part.partition("=")
        if key not in _KEYS:
            raise _bad(written, f"':{part}' is no suffix")
        if key in settings:
            raise _bad(written, f"':{key}=' is given twice")
        if not _NAME.fullmatch(value):
            raise _bad(written, f"':{part}' names no module")
        settings[key] = value
    if settings.get("gpu", "none") not in GPUS:
        raise _bad(written, f"there is no GPU kind '{settings['gpu']}' ({', '.join(GPUS)})")
    return folder + slash + first, settings


def _bad(written: str, what: str) -> UsageError:
    return UsageError(
        f"{written}: {what}",
        hint="suffixes are @ENGINE-VERSION, :cpu=NAME and :gpu=NAME, in this order",
        code="bad-suffix",
    )
