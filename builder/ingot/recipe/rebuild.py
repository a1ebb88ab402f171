"""Building an executable again from what it says itself, and comparing the two byte by byte.

The weights come from where the lock inside says. Files that the recipe named by a path are looked
for in a folder; those that are not there, and all of them if so asked, are taken from the
executable, by their hashes in the lock. Everything else is made anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingot.bundle.compare import Difference, differences
from ingot.bundle.extract import extract
from ingot.bundle.manifest import DRAFT, LORA, MODEL, PROJECTOR, Entry
from ingot.bundle.reader import Bundle, open_bundle
from ingot.console import Console
from ingot.engine.pin import load_sources
from ingot.engine.runtime import choose_target, runtime_key
from ingot.errors import InputError, IntegrityError
from ingot.recipe import orders as wanted
from ingot.recipe.icon import ICON_ENTRIES
from ingot.recipe.lock import (
    LockedFile,
    LockedInput,
    check_lock,
    locked_need,
    locked_path,
    remote_file,
)
from ingot.recipe.make import Supplies, make_order
from ingot.recipe.orders import Need, Order
from ingot.recipe.plan import MODEL_LICENSE, Recorded
from ingot.recipe.record import Record, read_record
from ingot.sources.digests import sha256_of
from ingot.sources.fetch import Fetched, LocalFile, fetch
from ingot.sources.reference import FileReference
from ingot.sources.web import Web


@dataclass(frozen=True)
class Rebuilt:
    """``path`` was built again from what ``original`` says. ``carried`` names the entries whose
    content was taken from the original.
    """

    original: Path
    path: Path
    sha256: tuple[str, str]
    differences: tuple[Difference, ...]
    carried: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether the two are the same, byte by byte."""
        return self.sha256[0] == self.sha256[1]


@dataclass(frozen=True)
class Search:
    """Where a rebuild takes its inputs from: ``inputs`` has the files that the recipe names by
    paths, ``scratch`` gets those that come from the executable; with ``carried`` all do.
    """

    inputs: Path
    scratch: Path
    carried: bool = False


def rebuild(original: Path, output: Path, search: Search, web: Web, progress: Console) -> Rebuilt:
    """Build ``original`` again as ``output`` and compare.

    Raises what ``read_record``, ``check_lock``, ``fetch`` and ``make_order`` do; InputError
    ``other-runtime`` and ``input-needed``; IntegrityError ``not-the-locked-input``.
    """
    with open_bundle(original) as bundle:
        record = read_record(bundle)
        order = _order(bundle, record)
        supplies, carried = _supplies(bundle, order, record, search, web, progress)
        about = bundle.manifest.about
        recorded = Recorded(about.tests, about.answers)
        result = make_order(
            order, supplies, record, output, progress, require_gpu=True, recorded=recorded
        )
        return Rebuilt(
            original,
            result.path,
            (sha256_of(original, progress), sha256_of(result.path, progress)),
            tuple(differences(bundle.manifest, result.manifest)),
            carried,
        )


def _order(bundle: Bundle, record: Record) -> Order:
    """What to build; known to be of this very Ingot, before minutes go into it."""
    sources = load_sources()
    check_lock(record.lock, wanted.digest(record.recipe), sources)
    about = bundle.manifest.about
    key = runtime_key(sources, choose_target(sources, about.target))
    if key != about.runtime_key:
        raise InputError(
            f"{bundle.path}: its runtime is {about.runtime_key[:16]}, and this Ingot's {key[:16]}",
            hint="rebuild it with the Ingot that it was made by",
            code="other-runtime",
        )
    for order in wanted.orders(record.recipe):
        if order.output == record.output:
            return order
    raise IntegrityError(
        f"{bundle.path}: its recipe has no target {record.output!r}", code="bad-recipe-entry"
    )


def _supplies(
    bundle: Bundle, order: Order, record: Record, search: Search, web: Web, progress: Console
) -> tuple[Supplies, tuple[str, ...]]:
    """The inputs, and the names of the entries that some of them were taken from."""
    found: dict[Need, Fetched] = {}
    carried: list[str] = []
    remote = {}
    for need in order.needs:
        locked = record.lock.find(need)
        if search.carried or (_by_path(locked) and not _is_here(locked.files, search.inputs)):
            entries = _entries_of(bundle, order, need, locked)
            paths = _extracted(bundle, locked, entries, search.scratch, progress)
            found[need] = _fetched(locked, paths, web, progress)
            carried += [entry.name for entry in entries]
        else:
            remote[need] = locked_need(need, record.lock, search.inputs, web)
    fetched = fetch(list(remote.values()), web, progress)
    found.update(zip(remote, fetched, strict=True))
    small = {}
    for need in order.small:
        files = record.lock.find(need).files
        if not search.carried and _is_here(files, search.inputs):
            small[need] = locked_path(need, record.lock, search.inputs)
        else:
            small[need], name = _carried_small(bundle, need, files, search.scratch, progress)
            carried.append(name)
    return Supplies(found, small), tuple(carried)


def _by_path(locked: LockedInput) -> bool:
    return all(file.url is None and file.repo is None for file in locked.files)


def _is_here(files: tuple[LockedFile, ...], folder: Path) -> bool:
    paths = [(folder / file.name, file) for file in files]
    return all(p.is_file() and sha256_of(p) == file.sha256 for p, file in paths)


def _entries_of(bundle: Bundle, order: Order, need: Need, locked: LockedInput) -> tuple[Entry, ...]:
    """The entries that hold ``need``: the weights, and the projector that came with them."""
    manifest = bundle.manifest
    if need in order.loras:
        at = order.loras.index(need)
        return manifest.with_role(LORA)[at : at + 1]
    role = {wanted.PROJECTOR: PROJECTOR, wanted.DRAFT: DRAFT}.get(need.role, MODEL)
    own = manifest.with_role(PROJECTOR) if locked.projector and not order.projector else ()
    return (*manifest.with_role(role), *own)


def _extracted(
    bundle: Bundle,
    locked: LockedInput,
    entries: tuple[Entry, ...],
    scratch: Path,
    progress: Console,
) -> list[Path]:
    """The weights of ``entries``, if they are still the files that were locked."""
    if len(locked.files) > 1 or locked.member or not locked.files[0].name.endswith(".gguf"):
        raise InputError(
            f"{locked.reference}: is needed, as it was changed on its way into the executable",
            hint="--inputs names the folder that it is in",
            code="input-needed",
        )
    return [one.path for one in extract(bundle, entries, scratch, force=True, progress=progress)]


def _fetched(locked: LockedInput, paths: list[Path], web: Web, progress: Console) -> Fetched:
    """As if ``paths`` had been fetched for ``locked``."""
    files = [*locked.files, *([locked.projector] if locked.projector else [])]
    local = [
        LocalFile(path, file.sha256, remote_file(file, web))
        for path, file in _checked(paths, files, progress)
    ]
    return Fetched(FileReference(paths[0]), (local[0],), local[1] if local[1:] else None)


def _checked(
    paths: list[Path], files: list[LockedFile], progress: Console
) -> Iterator[tuple[Path, LockedFile]]:
    for path, file in zip(paths, files, strict=True):
        if sha256_of(path, progress) != file.sha256:
            raise IntegrityError(
                f"{file.name}: what the executable carries is not what its lock says",
                hint="the executable was not built from this lock",
                code="not-the-locked-input",
            )
        yield path, file


def _carried_small(
    bundle: Bundle,
    need: Need,
    files: tuple[LockedFile, ...],
    scratch: Path,
    progress: Console,
) -> tuple[Path, str]:
    """The licence text or the icon, and the entry's name."""
    ending = Path(need.reference).suffix.lower()
    name = MODEL_LICENSE if need.role == wanted.LICENSE_TEXT else ICON_ENTRIES.get(ending, "")
    entry = bundle.manifest.entry(name)
    if entry is None:
        raise InputError(
            f"{need.reference}: is needed, as the executable does not carry it",
            hint="--inputs names the folder that it is in",
            code="input-needed",
        )
    (one,) = extract(bundle, [entry], scratch, force=True, progress=progress)
    ((path, _file),) = _checked([one.path], list(files), progress)
    return path, name
