"""The runtime image as it lies in the cache or in an installed Ingot: its files, and its record.

``runtime.json`` inside names every file with its size; what it does not name is not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ingot.engine import components
from ingot.engine.appended import unpacked_home
from ingot.engine.components import Component
from ingot.errors import IntegrityError
from ingot.paths import cache_dir

RECORD = "runtime.json"
RECORD_FORMAT = 1
_RECORD_LIMIT = 1 << 20
_GROUPS = ("modules", "deflated", "ui", "licenses", "sources")


@dataclass(frozen=True)
class RuntimeImage:
    """A complete image. Names in ``ui``, ``licenses`` and ``sources`` are relative, with forward
    slashes. ``deflated`` has what executables carry compressed: ``ui/index.html`` -> its file.
    ``components`` are the third-party libraries inside. ``tools`` is the program with the verbs
    that make models, which no executable carries. The image of another engine, for ``ingot
    compare``, has a program and modules alone.

    ``identity`` is ``{"engine": {package, version, commit, sha256}, "toolchain": {name: version},
    "key": hex}``.
    """

    root: Path
    target: str
    program: Path
    tools: Path | None
    modules: tuple[Path, ...]
    ui: tuple[tuple[str, Path], ...]
    licenses: tuple[tuple[str, Path], ...]
    sources: tuple[tuple[str, Path], ...]
    deflated: Mapping[str, Path]
    components: tuple[Component, ...]
    identity: Mapping[str, object]

    @classmethod
    def load(cls, root: Path) -> RuntimeImage:
        """Read ``root``/runtime.json and check that every file it names is there, at its size.

        Raises IntegrityError (code ``bad-runtime-image``) otherwise.
        """
        record = _read_record(root)
        paths: dict[str, list[tuple[str, Path]]] = {group: [] for group in _GROUPS}
        programs: dict[str, Path] = {}
        listed: tuple[Component, ...] | None = None
        for name, size in record.files.items():
            path = root / name
            if not path.is_file() or path.stat().st_size != size:
                raise _bad_image(root, f"{name} is missing or has another size than recorded")
            group, _, rest = name.partition("/")
            if name in ("program", "tools"):
                programs[name] = path
            elif name == components.FILE:
                listed = components.read(path)
            elif rest and group in paths:
                paths[group].append((rest, path))
            else:
                raise _bad_image(root, f"nobody knows what {name!r} is for")
        if "program" not in programs or listed is None or not paths["modules"]:
            raise _bad_image(root, "the program, modules or components are not recorded")
        return cls(
            root=root,
            target=record.target,
            program=programs["program"],
            tools=programs.get("tools"),
            modules=tuple(path for _name, path in paths["modules"]),
            ui=tuple(paths["ui"]),
            licenses=tuple(paths["licenses"]),
            sources=tuple(paths["sources"]),
            deflated=dict(paths["deflated"]),
            components=listed,
            identity=record.identity,
        )


def _bad_image(root: Path, what: str) -> IntegrityError:
    return IntegrityError(
        f"the runtime image {root} is damaged: {what}",
        hint=_remedy(root),
        code="bad-runtime-image",
    )


def _remedy(root: Path) -> str:
    if root.is_relative_to(unpacked_home()):
        root = unpacked_home()  # a part of what is unpacked there would not come back
    elif not root.is_relative_to(cache_dir()):
        return "install this copy of Ingot again"
    return f"remove that folder and build again: rm -r {root}"


@dataclass(frozen=True)
class _Record:
    """The checked content of runtime.json; sizes are in bytes."""

    target: str
    identity: Mapping[str, object]
    files: Mapping[str, int]


def _read_record(root: Path) -> _Record:
    path = root / RECORD
    try:
        if path.stat().st_size > _RECORD_LIMIT:
            raise _bad_image(root, f"{RECORD} is too large")
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _bad_image(root, f"{RECORD} cannot be read ({error})") from error
    if not isinstance(document, dict) or document.get("format") != RECORD_FORMAT:
        raise _bad_image(root, f"{RECORD} is not of format {RECORD_FORMAT}")
    target, identity, files = (document.get(key) for key in ("target", "identity", "files"))
    if not isinstance(target, str) or not isinstance(files, dict):
        raise _bad_image(root, f"{RECORD} has no target or no files")
    if not isinstance(identity, dict) or not {"engine", "toolchain", "key"} <= identity.keys():
        raise _bad_image(root, f"{RECORD} does not say what the image was made from")
    for name, size in files.items():
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or not isinstance(size, int):
            raise _bad_image(root, f"{RECORD} names an impossible file {name!r}")
    return _Record(target, identity, files)


def write_record(root: Path, target: str, identity: Mapping[str, object]) -> None:
    """Write runtime.json for the files now below ``root``; call it last."""
    files = {
        path.relative_to(root).as_posix(): path.stat().st_size
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    document = {"format": RECORD_FORMAT, "target": target, "identity": identity, "files": files}
    (root / RECORD).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
