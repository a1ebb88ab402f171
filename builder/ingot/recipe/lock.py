"""The lock: the exact inputs that a recipe's executables are built from, and with what.

A file beside the recipe, JSON, sorted, written by ``ingot lock`` and by nothing else. A build that
uses it asks no server what a branch or a quantisation means, and takes no byte that differs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from ingot import __version__
from ingot.console import Progress
from ingot.engine.pin import Sources
from ingot.errors import InputError, IntegrityError
from ingot.gguf.join import load_weights
from ingot.recipe.orders import ICON, LICENSE_TEXT, PROJECTOR, Need, Order
from ingot.recipe.schema import Sha256, Table
from ingot.sources.choose import Role
from ingot.sources.digests import sha256_of
from ingot.sources.fetch import Fetched, LocalFile, fetch
from ingot.sources.hub import file_url
from ingot.sources.reference import FileReference, HubReference, Reference, parse_reference
from ingot.sources.resolve import RemoteFile, Resolved, resolve
from ingot.sources.web import Web

FORMAT = 1
_LIMIT = 16 << 20
_ROLES: Mapping[str, Role] = {"model": "model", "projector": "projector", "adapter": "adapter"}
_SMALL = (LICENSE_TEXT, ICON)
_AGAIN = "'ingot lock' makes it anew"


class LockedFile(Table):
    """One file. ``size`` in bytes; of a file that the recipe names by a path, ``name`` is that
    path, from the recipe's folder.
    """

    name: str
    size: int = Field(ge=0)
    sha256: Sha256
    url: str | None = None
    repo: str | None = None
    revision: str | None = None
    commit: str | None = None


class LockedInput(Table):
    """What a reference means in a role."""

    reference: str
    role: str
    files: tuple[LockedFile, ...] = Field(min_length=1)
    projector: LockedFile | None = None
    member: str | None = None


class Lock(Table):
    """Everything that decides the bytes of an executable, apart from the recipe itself."""

    format: int = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    ingot: str
    recipe: Sha256
    engine: dict[str, str]
    toolchain: dict[str, str]
    inputs: tuple[LockedInput, ...]

    def find(self, need: Need) -> LockedInput:
        """The entry for ``need``. Raises InputError ``lock-out-of-date``."""
        for entry in self.inputs:
            if (entry.reference, entry.role) == (need.reference, need.role):
                return entry
        raise out_of_date(f"it does not have {need.reference!r}")

    def only(self, order: Order) -> Lock:
        """Of this lock, what decides the bytes of ``order``."""
        needs = sorted({*order.needs, *order.small}, key=_place)
        inputs = tuple(self.find(need) for need in needs)
        return self.model_copy(update={"inputs": inputs})


def _place(need: Need) -> tuple[str, str]:
    """By which a lock is sorted."""
    return need.reference, need.role


def lock_path(recipe: Path) -> Path:
    """``model.toml`` -> ``model.lock``."""
    return recipe.with_suffix(".lock")


def out_of_date(what: str) -> InputError:
    """The error of a lock that is not this recipe's, or not this Ingot's."""
    return InputError(f"the lock is out of date: {what}", hint=_AGAIN, code="lock-out-of-date")


def identity(sources: Sources) -> tuple[dict[str, str], dict[str, str]]:
    """(engine, toolchain) as a lock pins them."""
    engine = sources.engine
    package = engine.package
    return (
        {
            "package": package.name,
            "version": package.version,
            "sha256": package.sha256,
            "commit": engine.commit,
        },
        sources.tools.identity(),
    )


def read_lock(path: Path) -> Lock:
    """The lock at ``path``. Raises InputError ``no-lock`` or IntegrityError ``bad-lock``."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_LIMIT)
    except OSError as error:
        raise InputError(
            f"{path}: there is no lock: {error.strerror}",
            hint="'ingot lock' makes it",
            code="no-lock",
        ) from error
    try:
        return Lock.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise IntegrityError(
            f"{path}: is no lock: {where}: {first['msg']}", hint=_AGAIN, code="bad-lock"
        ) from error


def write_lock(path: Path, lock: Lock) -> None:
    """Replace the lock at ``path``, in one step."""
    document: dict[str, Any] = lock.model_dump(mode="json", by_alias=True, exclude_none=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
    temporary.replace(path)


def check_lock(lock: Lock, recipe_digest: str, sources: Sources) -> None:
    """Whether ``lock`` was made for this recipe by this Ingot. InputError ``lock-out-of-date``."""
    engine, toolchain = identity(sources)
    if lock.recipe != recipe_digest:
        raise out_of_date("the recipe has changed since")
    if lock.ingot != __version__:
        raise out_of_date(f"it was made by Ingot {lock.ingot}, and this is {__version__}")
    for what, mine, its in (
        ("engine", engine, lock.engine),
        ("toolchain", toolchain, lock.toolchain),
    ):
        if mine != its:
            keys = sorted(key for key in {*mine, *its} if mine.get(key) != its.get(key))
            raise out_of_date(f"the {what} is another: {', '.join(keys)}")


def make_lock(
    wanted: Sequence[Order],
    recipe_digest: str,
    folder: Path,
    sources: Sources,
    web: Web,
    progress: Progress,
) -> Lock:
    """Pin every input of ``wanted``; paths are taken from ``folder``.

    Files whose hash no server tells are fetched. Raises what ``resolve`` and ``fetch`` do.
    """
    needs = {_place(need): need for order in wanted for need in (*order.needs, *order.small)}
    entries = [_locked(need, folder, web, progress) for _key, need in sorted(needs.items())]
    engine, toolchain = identity(sources)
    return Lock(
        ingot=__version__,
        recipe=recipe_digest,
        engine=engine,
        toolchain=toolchain,
        inputs=tuple(entries),
    )


def reference_of(need: Need, folder: Path, web: Web) -> Reference:
    """``need``'s reference; a path is taken from the recipe's folder."""
    endpoint = web.settings.endpoint

    def exists(text: str) -> bool:
        return (folder / text).exists()

    reference = parse_reference(need.reference, endpoint=endpoint, exists=exists)
    if isinstance(reference, FileReference):
        return FileReference(folder / reference.path.expanduser(), reference.member)
    return reference


def resolve_need(need: Need, folder: Path, web: Web) -> Resolved:
    """What ``need`` means now. A repository's own projector comes with a main model."""
    role = _ROLES.get(need.role, "model")
    return resolve(reference_of(need, folder, web), web, role=role, projector=need.role == "model")


def locked_need(need: Need, lock: Lock, folder: Path, web: Web) -> Resolved:
    """What ``need`` means by ``lock``; files that the recipe names by a path are checked here.

    Raises InputError ``lock-out-of-date`` and IntegrityError ``locked-file-differs``.
    """
    entry = lock.find(need)
    reference = reference_of(need, folder, web)
    local = isinstance(reference, FileReference)
    parts = tuple(_remote(file, folder, web, local=local) for file in entry.files)
    projector = _remote(entry.projector, folder, web, local=local) if entry.projector else None
    return Resolved(reference, parts, projector, entry.member)


def locked_path(need: Need, lock: Lock, folder: Path) -> Path:
    """The small file that ``need`` names, checked. Raises what ``locked_need`` does."""
    (file,) = lock.find(need).files
    path = folder / file.name
    _check_local(path, file)
    return path


def _remote(file: LockedFile, folder: Path, web: Web, *, local: bool) -> RemoteFile:
    if local:
        path = folder / file.name
        _check_local(path, file)
        return RemoteFile(path.name, size=file.size, sha256=file.sha256, local=path)
    return remote_file(file, web)


def remote_file(file: LockedFile, web: Web) -> RemoteFile:
    """``file`` where it was locked; of a file with a path, no more than its name, size and hash."""
    url = file.url
    if file.repo and file.commit:
        url = file_url(web.settings.endpoint, file.repo, file.commit, file.name)
    return RemoteFile(
        file.name,
        url,
        file.size,
        file.sha256,
        repo=file.repo,
        revision=file.revision,
        commit=file.commit,
    )


def _check_local(path: Path, file: LockedFile) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", code="no-such-file") from error
    if size == file.size and sha256_of(path) == file.sha256:
        return
    raise IntegrityError(
        f"{path}: is not the file that was locked",
        hint=f"restore it; if it is meant to differ, {_AGAIN}",
        code="locked-file-differs",
    )


def _locked(need: Need, folder: Path, web: Web, progress: Progress) -> LockedInput:
    if need.role in _SMALL:
        return _locked_files(need, FileReference(folder / need.reference), folder, progress)
    resolved = resolve_need(need, folder, web)
    if isinstance(resolved.reference, FileReference):
        return _locked_files(need, resolved.reference, folder, progress)
    if any(file.sha256 is None or file.size is None for file in resolved.files):
        fetched = fetch([resolved], web, progress)[0]
        parts, projector = _sources(fetched)
    else:
        parts, projector = resolved.parts, resolved.projector
    _compare(need, parts)
    return LockedInput(
        reference=need.reference,
        role=need.role,
        files=tuple(_entry(part, resolved.reference) for part in parts),
        projector=_entry(projector, resolved.reference) if projector else None,
        member=resolved.member,
    )


def _sources(fetched: Fetched) -> tuple[tuple[RemoteFile, ...], RemoteFile | None]:
    projector: LocalFile | None = fetched.projector
    return tuple(part.source for part in fetched.parts), projector.source if projector else None


def _locked_files(
    need: Need, reference: FileReference, folder: Path, progress: Progress
) -> LockedInput:
    """Of a path: its archive, or all parts of a split model."""
    whole = [reference.path]
    if need.role not in (PROJECTOR, *_SMALL) and reference.path.suffix == ".gguf":
        whole = list(load_weights(reference.path).files)
    # Named as the recipe names them, so that a lock is the same wherever both lie.
    absolute = Path(need.reference).expanduser().is_absolute()
    files = []
    for path in whole:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file", code="no-such-file")
        name = path.as_posix() if absolute else os.path.relpath(path, folder)
        digest = sha256_of(path, progress)
        files.append(LockedFile(name=name, size=path.stat().st_size, sha256=digest))
    if need.sha256 and files[0].sha256 != need.sha256:
        raise _differs(need, files[0].sha256)
    return LockedInput(
        reference=need.reference, role=need.role, files=tuple(files), member=reference.member
    )


def _entry(file: RemoteFile, reference: Reference) -> LockedFile:
    assert file.sha256 is not None and file.size is not None
    hub = isinstance(reference, HubReference)
    return LockedFile(
        name=file.name,
        size=file.size,
        sha256=file.sha256,
        url=None if hub else file.url,
        repo=file.repo,
        revision=file.revision,
        commit=file.commit,
    )


def _compare(need: Need, parts: Sequence[RemoteFile]) -> None:
    if need.sha256 and parts[0].sha256 != need.sha256:
        raise _differs(need, parts[0].sha256)


def _differs(need: Need, found: str | None) -> IntegrityError:
    return IntegrityError(
        f"{need.reference}: its sha256 is {found}, and the recipe wants {need.sha256}",
        hint="the file has changed, or the recipe's sha256 is of another one",
        code="hash-mismatch",
    )
