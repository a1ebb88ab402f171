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


def cuda_host(zig: Zig, target: Target) -> Path:
    """A C++ compiler that nvcc accepts for host code, written if it is not there.

    nvcc knows zig by no name; the two definitions are what its own -allow-unsupported-compiler
    and its headers ask for. CUDA's headers declare rsqrt and others as glibc 2.42 does, which
    zig's headers have whatever the version in the target; so the code is compiled for that one
    and linked for ours. Seen: the backend needs symbols of GLIBC_2.17 and older only.
    """
    caches = shlex.quote(str(cache_dir() / "zig"))
    newest = shlex.quote(f"{target.zig.split('-gnu')[0]}-gnu.2.42")
    script = (
        "#!/bin/sh\n"
        f"export ZIG_GLOBAL_CACHE_DIR={caches}\n"
        f"export ZIG_LOCAL_CACHE_DIR={caches}\n"
        f"target={shlex.quote(target.zig)}\n"
        f'case " $* " in *" -c "*|*" -E "*) target={newest};; esac\n'
        f'exec {shlex.quote(str(zig.program))} c++ -target "$target" -g0'
        ' -D__NV_NO_HOST_COMPILER_CHECK=1 -D_ALLOW_UNSUPPORTED_LIBCPP "$@"\n'
    )

    def write(folder: Path) -> None:
        (folder / "c++").write_text(script)
        (folder / "c++").chmod(0o755)

    digest = hashlib.sha256(script.encode()).hexdigest()[:16]
    return ensure_entry(cache_dir() / "toolchains" / f"cuda-host-{digest}", write) / "c++"
