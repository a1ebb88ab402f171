"""``--gpu``: which GPU modules an executable gets. Pure: words and versions in, wishes out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingot.bundle.manifest import CUDA, VULKAN
from ingot.errors import UsageError

NONE = "none"
PTX = "ptx"
_HINT = (
    "for example: --gpu none, --gpu cuda, --gpu cuda:80,90, --gpu cuda:80,90,ptx, --gpu vulkan or "
    "--gpu cuda+vulkan"
)
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

    @property
    def covers(self) -> str:
        """What the module runs on: ``sm_80, sm_90, PTX``."""
        return ", ".join([*(f"sm_{arch}" for arch in self.archs), *["PTX"] * self.ptx])


@dataclass(frozen=True)
class Wishes:
    """Which modules an executable gets: ``cuda`` None means no CUDA module."""

    cuda: CudaWish | None = None
    vulkan: bool = False

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.cuda is not None or self.vulkan


@dataclass(frozen=True)
class GpuOptions:
    """A request for GPU modules: ``words`` are values of ``--gpu``.

    ``required``: without the modules there is no executable. ``portable``: the word ``cuda`` alone
    means the same on every machine, whatever GPUs it has.
    """

    words: tuple[str, ...] = ()
    required: bool = False
    portable: bool = False


def parse_gpu(texts: Sequence[str]) -> Wishes:
    """The values of ``--gpu``, each of them words joined by ``+``: ``("cuda:90+vulkan",)``.

    A word is ``cuda``, ``cuda:ARCHS``, ``vulkan``, or ``none``, which has to be the only one. ARCHS
    are compute capabilities without the dot, separated by commas, and the word ``ptx``; sorted, so
    that one set is compiled once. Raises UsageError ``bad-gpu``.
    """
    words = [word for text in texts for word in text.split("+")]
    kinds = [word.partition(":")[0] for word in words]
    if len(set(kinds)) != len(kinds):
        raise _bad(" ".join(texts), "names a kind twice")
    if NONE in words and len(words) > 1:
        raise _bad(" ".join(texts), "asks for none and for another")
    cuda = next((_cuda(word) for word in words if word not in (NONE, VULKAN)), None)
    return Wishes(cuda, VULKAN in words)


def _cuda(text: str) -> CudaWish:
    kind, colon, rest = text.partition(":")
    if kind != CUDA or (colon and not rest):
        raise _bad(text, "is not known")
    if not colon:
        return CudaWish()
    words = rest.split(",")
    archs = [word for word in words if word != PTX]
    for word in archs:
        if not _ARCH.fullmatch(word):
            raise _bad(text, f"has {word!r}, which is no compute capability")
    if len(set(words)) != len(words) or not archs:
        raise _bad(text, "names something twice" if archs else "names no compute capability")
    return CudaWish(tuple(sorted(archs, key=int)), PTX in words)


def _bad(text: str, what: str) -> UsageError:
    return UsageError(f"--gpu {text!r} {what}", hint=_HINT, code="bad-gpu")


def version_of(toolkit: str) -> tuple[int, ...]:
    """``13.0.88`` as numbers, the first two of them."""
    return tuple(int(part) for part in toolkit.split(".")[:2])
