from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingot.engine import components
from ingot.engine.components import Component
from ingot.engine.image import RECORD, RuntimeImage, write_record
from ingot.engine.pin import Sources, load_sources
from ingot.engine.runtime import choose_target, runtime_key
from ingot.errors import IntegrityError, ToolchainError

COMPONENTS = (
    Component("a", components.ENGINE, "1.0", "MIT", "pkg:github/a/a@v1.0", "a.txt"),
    Component("b", components.PAGE),
)
IDENTITY = {
    "engine": {"package": "p", "version": "1", "commit": "c", "sha256": "0" * 64},
    "toolchain": {"ziglang": "1"},
    "key": "k" * 64,
}


@pytest.fixture
def image(cache: Path) -> Path:
    """A small image with all kinds of files, in the cache."""
    return _write_image(cache / "runtimes" / "k")


def _write_image(root: Path) -> Path:
    for name in (
        "program",
        "tools",
        "modules/b.so",
        "modules/a.so",
        "ui/index.html",
        "licenses/x.txt",
        "sources/gpu.tar",
        "deflated/ui/index.html",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / "ui" / "_app").mkdir()
    (root / "ui" / "_app" / "x.js").write_text("js")
    components.write(root / components.FILE, COMPONENTS)
    write_record(root, "linux-x86_64", IDENTITY)
    return root


def test_an_image_loads_as_it_was_written(image: Path) -> None:
    loaded = RuntimeImage.load(image)
    assert loaded.target == "linux-x86_64"
    assert (loaded.program, loaded.tools) == (image / "program", image / "tools")
    assert [path.name for path in loaded.modules] == ["a.so", "b.so"]
    assert loaded.ui == (
        ("_app/x.js", image / "ui/_app/x.js"),
        ("index.html", image / "ui/index.html"),
    )
    assert loaded.licenses == (("x.txt", image / "licenses/x.txt"),)
    assert loaded.sources == (("gpu.tar", image / "sources/gpu.tar"),)
    assert loaded.deflated == {"ui/index.html": image / "deflated/ui/index.html"}
    assert loaded.components == COMPONENTS
    assert loaded.identity == IDENTITY


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "edit",
    [
        lambda record: record.update(format=99),
        lambda record: record.pop("target"),
        lambda record: record.update(files=[]),
        lambda record: record["identity"].pop("key"),
        lambda record: record["files"].pop("program"),
        lambda record: record["files"].pop("components.json"),
        lambda record: record["files"].update({"program": 1}),
        lambda record: record["files"].update({"../../etc/passwd": 1}),
        lambda record: record["files"].update({"/etc/passwd": 1}),
        lambda record: record["files"].update({"program": "1"}),
        lambda record: [record["files"].pop(f"modules/{x}.so") for x in "ab"],
    ],
)
def test_a_record_that_does_not_fit_is_refused(image: Path, edit: Edit) -> None:
    record = json.loads((image / RECORD).read_text())
    edit(record)
    (image / RECORD).write_text(json.dumps(record))
    with pytest.raises(IntegrityError) as caught:
        RuntimeImage.load(image)
    assert caught.value.code == "bad-runtime-image"
    assert str(image) in (caught.value.hint or "")


@pytest.mark.parametrize("content", ["", "[]", "{", "null"])
def test_a_record_that_is_no_record_is_refused(image: Path, content: str) -> None:
    (image / RECORD).write_text(content)
    with pytest.raises(IntegrityError):
        RuntimeImage.load(image)


@pytest.mark.parametrize("name", ["program", "modules/a.so", RECORD])
def test_a_half_written_image_is_refused(image: Path, name: str) -> None:
    (image / name).unlink()
    with pytest.raises(IntegrityError):
        RuntimeImage.load(image)


def test_a_truncated_program_is_refused(image: Path) -> None:
    (image / "program").write_text("pro")
    with pytest.raises(IntegrityError, match="program is missing or has another size"):
        RuntimeImage.load(image)


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        ("cache/runtimes/k", "rm -r {tmp}/cache/runtimes/k"),
        ("cache/carried/x/runtimes/k", "rm -r {tmp}/cache/carried"),
        ("site-packages/ingot/carried/runtimes/k", "install this copy of Ingot again"),
    ],
)
def test_the_remedy_fits_where_the_image_lies(
    tmp_path: Path, cache: Path, place: str, remedy: str
) -> None:
    root = _write_image(tmp_path / place)
    (root / "program").unlink()
    with pytest.raises(IntegrityError) as caught:
        RuntimeImage.load(root)
    assert (caught.value.hint or "").endswith(remedy.format(tmp=tmp_path))


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """The pins of this checkout around native sources of the test's own."""
    real = load_sources()
    for name in ("native", "runtime"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.cc").write_text("1")
    return replace(real, repository=tmp_path)


def test_the_key_depends_on_sources_engine_tools_and_target(sources: Sources) -> None:
    target = choose_target(sources)
    engine = sources.engine
    other_engine = replace(engine, package=replace(engine.package, sha256="1" * 64))
    packages = dict(sources.tools.packages)
    packages["ziglang"] = replace(packages["ziglang"], sha256="2" * 64)
    keys = [
        runtime_key(sources, target),
        runtime_key(sources, replace(target, zig="x86_64-linux-musl")),
        runtime_key(replace(sources, engine=other_engine), target),
        runtime_key(replace(sources, tools=replace(sources.tools, packages=packages)), target),
    ]
    (sources.runtime / "x.cc").write_text("2")
    keys.append(runtime_key(sources, target))
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_depend_on_where_the_checkout_lies(
    sources: Sources, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    for name in ("native", "runtime"):
        shutil.copytree(sources.repository / name, moved / name)
    target = choose_target(sources)
    assert runtime_key(replace(sources, repository=moved), target) == runtime_key(sources, target)


def test_an_unknown_target_is_answered_with_the_known_ones(sources: Sources) -> None:
    with pytest.raises(ToolchainError) as caught:
        choose_target(sources, "amiga")
    assert "linux-x86_64" in (caught.value.hint or "")
