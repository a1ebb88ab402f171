"""``--gpu``: which GPU module an executable gets. Pure: words and versions in, a plan out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingot.errors import UsageError

NONE = "none"
PTX = "ptx"
_HINT = "for example: --gpu none, --gpu cuda, --gpu cuda:80,90 or --gpu cuda:80,90,ptx"
# Turing, Ampere (data centre and consumer), Ada, Hopper; consumer Blackwell from CUDA 12.8 on.
_DEFAULT = ("75", "80", "86", "89", "90")
_ARCH = re.compile(r"[5-9][0-9]|1[0-9]{2}", re.ASCII)
_BLACKWELL, _BLACKWELL_SINCE = "120", (12, 8)


@dataclass(frozen=True)
class CudaWish:
    """A CUDA module with machine code for ``archs`` (none: the default ones for the toolkit) and,
    with ``ptx``, PTX of the highest for newer devices.
    """

    archs: tuple[str, ...] = ()
    ptx: bool = True

    def resolved(self, toolkit: str) -> CudaWish:
        """With the default architectures filled in for the toolkit version, such as 13.0.88."""
        if self.archs:
            return self
        new = version_of(toolkit) >= _BLACKWELL_SINCE
        return CudaWish((*_DEFAULT, _BLACKWELL) if new else _DEFAULT, self.ptx)


def parse_gpu(text: str) -> CudaWish | None:
    """``none``, ``cuda`` or ``cuda:ARCHS``; None stands for no module.

    ARCHS are compute capabilities without the dot, separated by commas, and the word ``ptx``.
    Sorted, so that one set is compiled once. Raises UsageError ``bad-gpu``.
    """
    if text == NONE:
        return None
    kind, colon, rest = text.partition(":")
    if kind != "cuda" or (colon and not rest):
        raise UsageError(f"--gpu {text!r} is not known", hint=_HINT, code="bad-gpu")
    if not colon:
        return CudaWish()
    words = rest.split(",")
    archs = [word for word in words if word != PTX]
    for word in archs:
        if not _ARCH.fullmatch(word):
            raise UsageError(
                f"--gpu {text!r}: {word!r} is no compute capability", hint=_HINT, code="bad-gpu"
            )
    if len(set(words)) != len(words) or not archs:
        what = "names something twice" if archs else "names no compute capability"
        raise UsageError(f"--gpu {text!r} {what}", hint=_HINT, code="bad-gpu")
    return CudaWish(tuple(sorted(archs, key=int)), PTX in words)


def version_of(toolkit: str) -> tuple[int, ...]:
    """``13.0.88`` as numbers, the first two of them."""
    return tuple(int(part) for part in toolkit.split(".")[:2])


def describe(archs: Sequence[str], *, ptx: bool) -> str:
    """``sm_80, sm_90, PTX``."""
    return ", ".join([f"sm_{arch}" for arch in archs] + ["PTX"] * ptx)
