"""What a wheel or a frozen Ingot carries in place of a checkout: its small sources, the demo, and
the compiled runtime.

Both are made from this one list; ``pin.repository`` finds the result. Standard library only, as
all that it imports: a wheel is built where Ingot's dependencies are not installed.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ingot.engine.image import RuntimeImage
from ingot.engine.pin import DEFAULT_TARGET, Sources, load_sources, tree_files
from ingot.engine.runtime import choose_target, find_runtime, runtime_key
from ingot.errors import ToolchainError

_FOLDERS = ("native", "runtime", "recipes/demo")


def carried_files(target_name: str = DEFAULT_TARGET) -> dict[PurePosixPath, Path]:
    """Name below ``pin.CARRIED`` -> file, with the runtime for ``target_name``.

    Raises ToolchainError ``no-runtime`` when that was not compiled yet, and IntegrityError when it
    is damaged.
    """
    sources = load_sources()
    found = {PurePosixPath("LICENSE"): sources.repository / "LICENSE"}
    for name in _FOLDERS:
        folder = sources.repository / name
        for path in tree_files(folder):
            found[name / PurePosixPath(path.relative_to(folder))] = path
    image = _compiled(sources, target_name)
    for path in sorted(image.root.rglob("*")):
        if path.is_file():
            place = PurePosixPath("runtimes", image.root.name)
            found[place / path.relative_to(image.root).as_posix()] = path
    return found


def platform_tag(target_name: str = DEFAULT_TARGET) -> str:
    """The wheel's platform: ``manylinux_2_28_x86_64`` for zig's ``x86_64-linux-gnu.2.28``."""
    zig = choose_target(load_sources(), target_name).zig
    machine, system, libc = zig.split("-")
    library, _, version = libc.partition(".")
    if (system, library) != ("linux", "gnu") or not version:
        raise ToolchainError(f"there is no wheel for {zig}", code="no-wheel")
    return f"manylinux_{version.replace('.', '_')}_{machine}"


def _compiled(sources: Sources, target_name: str) -> RuntimeImage:
    key = runtime_key(sources, choose_target(sources, target_name))
    root = find_runtime(sources, key)
    if root is None:
        raise ToolchainError(
            f"the runtime for {target_name}, {key[:16]}, is not compiled: there is nothing to pack",
            hint="compile it first: ./ingot toolchain install runtime; or do both: ./dev wheel, "
            "./dev freeze",
            code="no-runtime",
        )
    return RuntimeImage.load(root)
