"""Which files of a repository a reference means, by their names alone; as llama.cpp's -hf.

The rules are those of common/download.cpp at the pinned engine: a quantisation is found in the
file name; without one Q4_K_M, then Q8_0, then the first model; the parts of a split file belong
together; the projector comes from the model's folder or one above it, the one nearest to the
model's bits per weight. Stricter in one thing: Q4_0 does not find IQ4_0.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ingot.errors import InputError

PREFERRED = ("Q4_K_M", "Q8_0")
_NO_MODELS = ("mmproj", "imatrix", "mtp-", "eagle3-", "dflash-", "dspark-")
_SPLIT = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})", re.DOTALL)
_TAG = re.compile(r"[-.]([A-Za-z0-9_]+)$")
_QUANT = re.compile(
    r"(?:UD-)?(?:I?Q\d\w*|T?BF16|F16|F32|BF16|TQ\d\w*|MXFP4\w*|NVFP4\w*)", re.IGNORECASE
)
_SHOWN = 30

Role = Literal["model", "projector", "adapter"]


@dataclass(frozen=True)
class Name:
    """A .gguf file name taken apart: ``stem`` is the path without number and ending."""

    path: str
    stem: str
    number: int
    count: int

    @property
    def tag(self) -> str:
        """The last word of the stem, upper case; usually the quantisation. May be empty."""
        match = _TAG.search(self.stem)
        return match[1].upper() if match else ""

    @property
    def folders(self) -> list[str]:
        """The folders that it is in, outermost first."""
        return self.path.split("/")[:-1]

    @property
    def file(self) -> str:
        """Without folders."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Choice:
    """Paths inside the repository: the model's parts in order, and the projector."""

    parts: tuple[str, ...]
    projector: str | None = None


def choose(
    paths: Sequence[str],
    *,
    where: str,
    quant: str | None = None,
    file: str | None = None,
    role: Role = "model",
) -> Choice:
    """Pick from ``paths`` (in the order of the listing); ``where`` names them in errors.

    Raises InputError ``no-gguf``, ``no-such-file``, ``no-such-quant`` or ``split-missing``.
    """
    names = [name for name in map(parse_name, paths) if name is not None]
    if not names and file is None:
        raise InputError(
            f"{where}: has no GGUF file",
            hint="look for a repository whose name ends in -GGUF, or convert the model first",
            code="no-gguf",
        )
    chosen = _by_path(names, file, where) if file else _by_quant(names, quant, role, where)
    parts = _parts(names, chosen, where)
    projector = _projector(names, chosen) if role == "model" and _is_model(chosen) else None
    return Choice(parts, projector)


def parse_name(path: str) -> Name | None:
    """``path`` taken apart; None if it is no .gguf file."""
    if not path.lower().endswith(".gguf"):
        return None
    stem = path[: -len(".gguf")]
    match = _SPLIT.fullmatch(stem)
    if match is None:
        return Name(path, stem, 1, 1)
    return Name(path, match["stem"], int(match["number"]), int(match["count"]))


def split_names(name: str) -> list[str]:
    """The names of all parts of the split file that ``name`` is one of; ``[name]`` if of none."""
    parsed = parse_name(name)
    if parsed is None or parsed.count <= 1 or parsed.number > parsed.count:
        return [name]
    ending = name[-len(".gguf") :]
    return [
        f"{parsed.stem}-{number:05d}-of-{parsed.count:05d}{ending}"
        for number in range(1, parsed.count + 1)
    ]


def quants(paths: Iterable[str]) -> list[str]:
    """The quantisations that models are offered in, for people, in the listing's order."""
    names = [name for name in map(parse_name, paths) if name is not None and _is_model(name)]
    found = (_quant_of(name) for name in names)
    return list(dict.fromkeys(quant for quant in found if quant))


def _quant_of(name: Name) -> str:
    words = re.split(r"[-./]", name.stem)
    for word in reversed(words):
        if _QUANT.fullmatch(word):
            return word.upper()
    return name.tag


def _is_model(name: Name) -> bool:
    return not any(word in name.file.lower() for word in _NO_MODELS)


def _is_projector(name: Name) -> bool:
    return "mmproj" in name.file.lower()


def _fits(role: Role) -> Callable[[Name], bool]:
    if role == "projector":
        return _is_projector
    return _is_model


def _by_quant(names: Sequence[Name], quant: str | None, role: Role, where: str) -> Name:
    firsts = [name for name in names if _fits(role)(name) and name.number == 1]
    for tag in (quant,) if quant else PREFERRED:
        for rule in (_last_word, _anywhere):
            for name in firsts:
                if rule(name, tag):
                    return name
    if quant is None and firsts:
        return firsts[0]
    raise _no_such_quant([name.path for name in names], firsts, quant, role, where)


def _last_word(name: Name, tag: str) -> bool:
    return name.tag == tag.upper()


def _anywhere(name: Name, tag: str) -> bool:
    """As a word of the path: between separators, and not as the end of a longer name."""
    pattern = rf"(?:^|[-./_]){re.escape(tag)}(?=[-./]|$)"
    return re.search(pattern, name.stem, re.IGNORECASE) is not None


def _no_such_quant(
    paths: Sequence[str], firsts: Sequence[Name], quant: str | None, role: Role, where: str
) -> InputError:
    if not firsts:
        return InputError(
            f"{where}: has no {role} among its GGUF files: {_listed(paths)}",
            hint="name the file that you want: hf://org/repo/FILE",
            code="no-gguf",
        )
    offered = list(dict.fromkeys(_quant_of(name) for name in firsts if _quant_of(name)))
    similar = _similar(quant or "", offered)
    files = [name.path for name in firsts]
    listed = f"has {_listed(offered)}" if offered else f"has the files {_listed(files)}"
    hint = f"did you mean :{similar}?" if similar else "choose one of them, or name a file"
    return InputError(f"{where}: has no {quant}; it {listed}", hint=hint, code="no-such-quant")


def _similar(wanted: str, offered: Sequence[str]) -> str | None:
    plain = {re.sub(r"[^A-Z0-9]", "", item.upper()): item for item in reversed(offered)}
    found = difflib.get_close_matches(re.sub(r"[^A-Z0-9]", "", wanted.upper()), plain, 1, 0.5)
    return plain[found[0]] if found else None


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


def _by_path(names: Sequence[Name], file: str, where: str) -> Name:
    exact = [name for name in names if name.path == file]
    alike = [name for name in names if name.file == file]
    if exact or len(alike) == 1:
        return (exact or alike)[0]
    paths = [name.path for name in names]
    similar = difflib.get_close_matches(file, paths, 1, 0.5)
    raise InputError(
        f"{where}: has no file {file}; its GGUF files are: {_listed(paths) or 'none'}",
        hint=f"did you mean {similar[0]}?" if similar else "choose one of them",
        code="no-such-file",
    )


def _parts(names: Sequence[Name], chosen: Name, where: str) -> tuple[str, ...]:
    wanted = split_names(chosen.path)
    there = {name.path for name in names}
    missing = [path for path in wanted if path not in there]
    if missing:
        raise InputError(
            f"{where}: of the {chosen.count} parts of {chosen.stem} some are missing: "
            f"{_listed(missing)}",
            hint="the upload is incomplete: choose another quantisation, or tell the author",
            code="split-missing",
        )
    return tuple(wanted)


def _bits(name: Name) -> int:
    match = re.search(r"\d+", name.tag)
    return int(match[0]) if match else 0


def _projector(names: Sequence[Name], model: Name) -> str | None:
    """The projector in the folder nearest to the model's, then nearest in bits, then first."""
    candidates = [
        name
        for name in names
        if _is_projector(name) and name.folders == model.folders[: len(name.folders)]
    ]
    if not candidates:
        return None
    best = min(candidates, key=lambda name: (-len(name.folders), abs(_bits(name) - _bits(model))))
    return best.path
