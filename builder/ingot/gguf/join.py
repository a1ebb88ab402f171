"""Weights as they go into an executable: a GGUF as it is, or a split GGUF joined into one.

`llama-gguf-split` names parts NAME-00001-of-00003.gguf. Each part is a GGUF of its own with the
keys split.no (from 0), split.count and split.tensors.count; only the first carries the model's
other keys. Joining means one header with all tensors and then their data, back to back. Nothing
is copied here: the result is a list of segments.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ingot.bundle.inputs import FileRegion, Segment, open_input, total_size
from ingot.errors import InputError
from ingot.gguf.model import Gguf, Tensor
from ingot.gguf.reader import read_gguf

MAX_SPLITS = 99_999  # five digits in the name
_SPLIT_NAME = re.compile(
    r"(?P<prefix>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.gguf)",
    re.DOTALL | re.IGNORECASE,
)
_SPLIT_KEYS = "split."


@dataclass(frozen=True)
class Weights:
    """A model's header, its bytes as segments, and the files that they come from.

    ``file_name`` is what the model is called inside the executable.
    """

    gguf: Gguf
    segments: tuple[Segment, ...]
    file_name: str
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return total_size(self.segments)


def load_weights(path: Path) -> Weights:
    """Read the header(s) of ``path``; any part of a split GGUF stands for all of it.

    Raises InputError: the reader's codes, ``split-name``, ``split-missing``, ``split-mismatch``.
    """
    gguf = read_gguf(path)
    count = gguf.integer("split.count") or 0
    if count <= 1:
        return Weights(gguf, (FileRegion(path, 0, gguf.size),), path.name, (path,))
    if _holds_several(path, gguf):
        raise InputError(
            f"{path}: the {count} parts of a split GGUF were joined with cat, which makes no GGUF",
            hint="get the parts themselves, under their own names, and give the first of them",
            code="split-joined",
        )
    paths = split_paths(path, count)
    parts = [gguf if part == path else _read_part(part) for part in paths]
    _check_parts(paths, parts)
    joined, segments = join(list(zip(paths, parts, strict=True)))
    return Weights(joined, segments, _joined_name(path), tuple(paths))


def _holds_several(path: Path, first: Gguf) -> bool:
    """Whether another GGUF begins where the first part's tensors end."""
    ends = [tensor.offset + tensor.size for tensor in first.tensors]
    end = first.data_at + max(ends, default=0)
    with open_input(path) as (stream, _size):
        rest = os.pread(stream.fileno(), first.alignment + 4, end)
    return rest.lstrip(b"\0").startswith(b"GGUF")


def split_paths(path: Path, count: int) -> list[Path]:
    """The files of a GGUF split into ``count`` parts, of which ``path`` is one.

    Raises InputError ``split-name`` when the name does not say which part it is.
    """
    match = _SPLIT_NAME.fullmatch(path.name)
    if match is None or int(match["count"]) != count or count > MAX_SPLITS:
        raise InputError(
            f"{path}: is one of {count} parts of a split GGUF, but its name does not end in "
            f"-NNNNN-of-{count:05d}.gguf, so the other parts cannot be found",
            hint="give the parts their original names",
            code="split-name",
        )
    prefix, ending = match["prefix"], match["ending"]
    return [path.with_name(f"{prefix}-{n:05d}-of-{count:05d}{ending}") for n in range(1, count + 1)]


def join(parts: Sequence[tuple[Path, Gguf]]) -> tuple[Gguf, tuple[Segment, ...]]:
    """Plan one GGUF out of all ``parts`` in order; give its header and its bytes as segments."""
    first_path, first = parts[0]
    tensors, places = _place_tensors(parts, first.alignment)
    kept = {k: v for k, v in first.kv.items() if not k.startswith(_SPLIT_KEYS)}
    table = b"".join(_tensor_record(tensor) for tensor in tensors)
    counts = struct.pack("<4sIQQ", b"GGUF", first.version, len(tensors), len(kept))
    spans = [FileRegion(first_path, a, b - a) for a, b in (first.spans[key] for key in kept)]
    tensors_at = len(counts) + total_size(spans)
    header_size = tensors_at + len(table)
    padding = -header_size % first.alignment
    segments = tuple(_merged([counts, *spans, table + bytes(padding), *places]))
    joined = replace(
        first,
        name=_joined_name(first_path),
        kv=kept,
        spans=_shifted_spans(first, list(kept), len(counts)),
        tensors=tuple(tensors),
        tensors_at=tensors_at,
        data_at=header_size + padding,
        size=total_size(segments),
    )
    return joined, segments


def _read_part(path: Path) -> Gguf:
    try:
        return read_gguf(path)
    except InputError as error:
        if error.code != "file-missing":
            raise
        raise InputError(
            f"{path}: this part of the split GGUF is missing",
            hint="put all parts into one folder under their original names",
            code="split-missing",
        ) from error


def _check_parts(paths: Sequence[Path], parts: Sequence[Gguf]) -> None:
    names: set[str] = set()
    for number, (path, part) in enumerate(zip(paths, parts, strict=True)):
        said = (part.integer("split.no"), part.integer("split.count"))
        if said != (number, len(parts)):
            _mismatch(path, f"says it is part {said[0]} of {said[1]}, not {number} of {len(parts)}")
        for tensor in part.tensors:
            if tensor.name in names:
                _mismatch(path, f"repeats the tensor {tensor.name!r} of another part")
            names.add(tensor.name)
    declared = parts[0].integer("split.tensors.count")
    if declared is not None and declared != len(names):
        _mismatch(paths[0], f"announces {declared} tensors, all parts together have {len(names)}")


def _mismatch(path: Path, what: str) -> None:
    raise InputError(
        f"{path}: {what}",
        hint="the parts come from different models: download all of them again",
        code="split-mismatch",
    )


def _place_tensors(
    parts: Sequence[tuple[Path, Gguf]], alignment: int
) -> tuple[list[Tensor], list[Segment]]:
    """New offsets for all tensors, and the data section as regions and padding."""
    tensors: list[Tensor] = []
    places: list[Segment] = []
    offset = 0
    for path, part in parts:
        for tensor in part.tensors:
            tensors.append(replace(tensor, offset=offset))
            places.append(FileRegion(path, part.data_at + tensor.offset, tensor.size))
            padding = -tensor.size % alignment
            if padding:
                places.append(bytes(padding))
            offset += tensor.size + padding
    return tensors, places


def _tensor_record(tensor: Tensor) -> bytes:
    name = tensor.name.encode()
    return b"".join(
        (
            struct.pack("<Q", len(name)),
            name,
            struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape),
            struct.pack("<IQ", tensor.type_id, tensor.offset),
        )
    )


def _merged(segments: Sequence[Segment]) -> Iterator[Segment]:
    """Merge neighbours, so that copying works on long regions."""
    held: Segment = b""
    for segment in segments:
        if isinstance(held, bytes) and isinstance(segment, bytes):
            held += segment
        elif (
            isinstance(held, FileRegion)
            and isinstance(segment, FileRegion)
            and held.path == segment.path
            and held.offset + held.length == segment.offset
        ):
            held = replace(held, length=held.length + segment.length)
        else:
            if held:
                yield held
            held = segment
    yield held


def _shifted_spans(first: Gguf, keys: Sequence[str], at: int) -> dict[str, tuple[int, int]]:
    spans = {}
    for key in keys:
        begin, end = first.spans[key]
        spans[key] = (at, at + end - begin)
        at += end - begin
    return spans


def _joined_name(path: Path) -> str:
    match = _SPLIT_NAME.fullmatch(path.name)
    return f"{match['prefix']}.gguf" if match else path.name
