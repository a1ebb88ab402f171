"""zig as C and C++ compiler, linker and archiver for every target.

CMake wants a compiler that is one program without arguments, so each target has a folder of
wrapper scripts. Its path depends on nothing but their content: a compiler whose path moved would
make CMake compile everything again.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from ingot.console import Progress
from ingot.paths import cache_dir, ensure_entry
from ingot.toolchain.packages import Package, Target, installed

# zig's lld needs no -fuse-ld and its cc needs no --sysroot: headers and libraries of every libc
# come with the package.
_ROLES = {"cc": "cc", "c++": "c++", "ar": "ar", "ranlib": "ranlib"}
_COMPILERS = ("cc", "c++")


@dataclass(frozen=True)
class Zig:
    """The unpacked ziglang package."""

    package: Package
    folder: Path

    @property
    def program(self) -> Path:
        """The ``zig`` executable."""
        return self.folder / "ziglang" / "zig"

    @property
    def license_files(self) -> tuple[tuple[str, Path], ...]:
        """Licences of the runtime libraries that zig links into programs."""
        lib = self.folder / "ziglang" / "lib"
        return (
            ("libcxx.txt", lib / "libcxx" / "LICENSE.TXT"),
            ("libcxxabi.txt", lib / "libcxxabi" / "LICENSE.TXT"),
            ("libunwind.txt", lib / "libunwind" / "LICENSE.TXT"),
            ("glibc.txt", lib / "libc" / "glibc" / "LICENSES"),
            ("zig.txt", self.folder / "ziglang" / "LICENSE"),
        )


def install(package: Package, progress: Progress) -> Zig:
    """Fetch and unpack zig unless it is there already."""
    return Zig(package, installed(package, progress))


def wrapper_script(zig: Path, role: str, target: Target, caches: Path) -> str:
    """The text of one wrapper: ``cc``, ``c++``, ``ar`` or ``ranlib`` for ``target``.

    zig's own caches (compiled libc and libc++) are kept inside ours, never in HOME.
    """
    words = [str(zig), _ROLES[role]]
    if role in _COMPILERS:
        words += ["-target", target.zig]
    return (
        "#!/bin/sh\n"
        f"export ZIG_GLOBAL_CACHE_DIR={shlex.quote(str(caches))}\n"
        f"export ZIG_LOCAL_CACHE_DIR={shlex.quote(str(caches))}\n"
        f'exec {shlex.join(words)} "$@"\n'
    )


def wrappers(zig: Zig, target: Target) -> Path:
    """The folder of wrapper scripts for ``target``, written if it is not there."""
    caches = cache_dir() / "zig"
    scripts = {role: wrapper_script(zig.program, role, target, caches) for role in _ROLES}
    digest = hashlib.sha256("\0".join(scripts.values()).encode()).hexdigest()[:16]

    def write(folder: Path) -> None:
        for role, text in scripts.items():
            path = folder / role
            path.write_text(text)
            path.chmod(0o755)

    return ensure_entry(cache_dir() / "toolchains" / f"{target.name}-{digest}", write)
