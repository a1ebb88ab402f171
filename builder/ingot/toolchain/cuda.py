"""NVIDIA's compiler for GPU modules: one that the system has, or pinned packages.

``find`` looks and changes nothing; ``install`` unpacks the packages side by side, as nvcc expects
its own folders. nvcc leaves host code to a C++ compiler: see ``choose_host``.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot import process
from ingot.console import Progress
from ingot.errors import IntegrityError, ToolchainError
from ingot.paths import cache_dir, ensure_entry
from ingot.toolchain.packages import Package, ToolchainPins, download, unpack_wheel

INSTALL_HINT = "install one with: ingot toolchain install cuda"
INSTALLED = "ingot toolchain"
_VARIABLES = ("CUDA_PATH", "CUDA_HOME")
_FOLDERS = ("/opt/cuda", "/usr/local/cuda")
_VERSION = re.compile(r"\bV(\d+\.\d+\.\d+)\b")
_PROBE_SECONDS = 60.0
_TOP = re.compile(r"^#\$ TOP=(.+)$", re.MULTILINE)
_LICENSE_HEAD = (
    "ggml-cuda.so contains NVIDIA's CUDA runtime library, which NVIDIA allows to distribute\n"
    "as part of an application. Its terms:\n\n"
)
_LICENSE_ELSEWHERE = (
    "the CUDA Toolkit End User License Agreement, https://docs.nvidia.com/cuda/eula/"
)
# The first toolkit that accepts Clang 22 and its libc++ as a host compiler. Tried with zig 0.17:
# 13.0 to 13.3 stop in libc++'s headers; 13.4.92 and 13.5.37 compiled every file of the backend
# that was tried, cub and ggml-cuda.cu among them.
_FIRST_WITH_ZIG = (13, 4)


@dataclass(frozen=True)
class Toolkit:
    """An nvcc that runs. ``version`` is like ``13.0.88``; ``origin`` says where it was found."""

    nvcc: Path
    version: str
    origin: str

    @property
    def label(self) -> str:
        """``nvcc 13.0.88 (PATH, /usr/bin/nvcc)``."""
        return f"nvcc {self.version} ({self.origin}, {self.nvcc})"


@dataclass(frozen=True)
class Search:
    """What a search found: the first nvcc that runs, and why earlier ones were passed over."""

    toolkit: Toolkit | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Host:
    """The compiler for host code: ``g++`` at ``path``, or zig when ``path`` is None."""

    path: Path | None


def places(environ: Mapping[str, str], own: Path | None) -> Iterator[tuple[str, Path]]:
    """Where an nvcc may be, in the order of preference; ``own`` is that of the packages."""
    on_path = shutil.which("nvcc", path=environ.get("PATH", os.defpath))
    if on_path:
        yield "PATH", Path(on_path)
    for name in _VARIABLES:
        if environ.get(name):
            yield name, Path(environ[name]) / "bin" / "nvcc"
    for folder in _FOLDERS:
        yield folder, Path(folder) / "bin" / "nvcc"
    if own:
        yield INSTALLED, own


def find(pins: ToolchainPins, environ: Mapping[str, str] | None = None) -> Search:
    """Look for an nvcc and ask each its version until one answers."""
    problems: list[str] = []
    for origin, nvcc in places(os.environ if environ is None else environ, installed_nvcc(pins)):
        if not nvcc.is_file():
            continue
        version = _ask(nvcc)
        if version:
            return Search(Toolkit(nvcc, version, origin), tuple(problems))
        problems.append(f"{nvcc} ({origin}) does not run, or does not say its version")
    return Search(None, tuple(problems))


def _ask(nvcc: Path) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "nvcc.log"
        try:
            done = process.run([nvcc, "--version"], log=log, check=False, timeout=_PROBE_SECONDS)
        except ToolchainError:
            return None
    said = _VERSION.search("\n".join(done.lines))
    return said[1] if said and done.status == 0 else None


def runtime_license(toolkit: Toolkit) -> str:
    """The licence of NVIDIA's CUDA runtime, which modules contain (libcudart_static): the text that
    came with ``toolkit``, or where it can be read if none did.
    """
    for path in _license_paths(_root(toolkit.nvcc)):
        try:
            return _LICENSE_HEAD + path.read_text("utf-8", "replace")
        except OSError:
            continue
    return f"{_LICENSE_HEAD}{_LICENSE_ELSEWHERE}\n"


def _root(nvcc: Path) -> Path:
    """The folder of the toolkit that ``nvcc``, which may be a script around another, belongs to."""
    with tempfile.TemporaryDirectory(prefix="ingot-nvcc-") as folder:
        try:
            done = process.run(
                [nvcc, "--dryrun", "-x", "cu", os.devnull],
                log=Path(folder) / "log",
                check=False,
                timeout=_PROBE_SECONDS,
            )
        except ToolchainError:
            return nvcc.resolve().parents[1]
    said = _TOP.search("\n".join(done.lines))
    return Path(os.path.normpath(said[1])) if said else nvcc.resolve().parents[1]


def _license_paths(root: Path) -> Iterator[Path]:
    yield root / "EULA.txt"
    # Wheels, unpacked side by side or with their metadata in a folder of its own.
    for place in (root / "dist-info", *root.parents[:2]):
        yield from sorted(place.glob("nvidia_cuda_runtime*.dist-info/**/License.txt"))
    yield Path("/usr/share/doc/nvidia-cuda-toolkit/copyright")


def toolkit_folder(pins: ToolchainPins) -> Path:
    """Where the unpacked packages are, or would be."""
    digest = hashlib.sha256("".join(p.sha256 for p in pins.cuda).encode()).hexdigest()
    return cache_dir() / "tools" / f"cuda-{pins.cuda_version}-{digest[:16]}"


def installed_nvcc(pins: ToolchainPins) -> Path | None:
    """The packages' nvcc; None if they are not unpacked."""
    return next(iter(sorted(toolkit_folder(pins).glob("nvidia/*/bin/nvcc"))), None)


def install(pins: ToolchainPins, progress: Progress) -> Toolkit:
    """Fetch and unpack the packages unless they are there already.

    Raises ToolchainError ``unsupported-host`` where they are not pinned, NetworkError or
    IntegrityError.
    """
    if not pins.cuda:
        raise ToolchainError(
            f"the CUDA compiler is not pinned for {pins.host}",
            hint="install NVIDIA's own toolkit; Ingot finds it in PATH and /usr/local/cuda",
            code="unsupported-host",
        )
    folder = toolkit_folder(pins)
    if not folder.is_dir():
        wheels = [download(package, progress) for package in pins.cuda]
        ensure_entry(folder, lambda temporary: _unpack(pins.cuda, wheels, temporary, progress))
    nvcc = installed_nvcc(pins)
    assert nvcc is not None  # _unpack made sure
    return Toolkit(nvcc, pins.cuda_version, INSTALLED)


def _unpack(
    packages: Sequence[Package], wheels: Sequence[Path], folder: Path, progress: Progress
) -> None:
    for package, wheel in zip(packages, wheels, strict=True):
        with progress.step(f"Unpacking {package.label}") as step:
            unpack_wheel(wheel, folder, step)
    homes = [path.parents[1] for path in folder.glob("nvidia/*/bin/nvcc")]
    if len(homes) != 1:
        raise IntegrityError(
            "the packages of the CUDA compiler do not form one toolkit", code="wrong-archive"
        )
    # nvcc.profile names lib64, as NVIDIA's own installer has it; the packages have lib.
    (homes[0] / "lib64").symlink_to("lib")


def choose_host(version: str, gxx: Path | None) -> Host:
    """The host compiler for nvcc ``version``: g++ where there is one, else zig if it will do.

    Pure. Raises ToolchainError ``no-host-compiler``.
    """
    if gxx is not None:
        return Host(gxx)
    if tuple(int(part) for part in version.split(".")[:2]) >= _FIRST_WITH_ZIG:
        return Host(None)
    raise ToolchainError(
        f"nvcc {version} needs g++ for host code, and there is none in PATH",
        hint="install it (Debian, Ubuntu: apt-get install g++), or build with --gpu none",
        code="no-host-compiler",
    )
