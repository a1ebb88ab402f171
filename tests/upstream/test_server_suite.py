"""llama.cpp's own server tests: an executable passes what llama-server passes.

``differences.toml`` says where not, and why; an entry that is no longer true fails as well. Both
runs are kept in the cache by what they depend on. With INGOT_SUITE_SERVER=PROGRAM that program,
with llama-server's command line, takes the executable's place and is compared with llama-server.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from ingot.console import Console
from ingot.engine.pin import load_sources
from ingot.paths import cache_dir, ensure_entry
from tests.conftest import Cast
from tests.hub.server import Hub
from tests.upstream import bundled, ensure_server, models, stories, suite
from tests.upstream.suite import Outcome, Outcomes
from tests.upstream.table import PAGE, Table, between, page

pytestmark = [pytest.mark.network, pytest.mark.runtime, pytest.mark.slow]

TABLE = Table.read()
HERE = Path(__file__).resolve().parent
AGAIN = 12
"""As many unexpected outcomes may be an accident of a busy machine: those tests run once more."""


@dataclass(frozen=True)
class Ground:
    """What both runs stand on. ``identity`` is of the tests, the models and this harness."""

    hub: Hub
    models: Path
    engine: Path
    scratch: Path
    identity: str
    files: Sequence[str]
    """The files that were asked for: all, or those that ``pytest -k`` left."""

    def outcomes(self, side: str, server: Path, *programs: Path) -> Outcomes:
        """Run the suite, or take what the cache has; only what the table expects is kept.

        ``server`` is started as llama-server is, ``programs`` are what does its work.
        """
        digest = hashlib.sha256(self.identity.encode())
        for program in programs:
            digest.update(_digest(program))
        entry = cache_dir() / "tests" / f"server-suite-{side}-{digest.hexdigest()[:16]}"
        if not entry.is_dir():
            found = self._run(server, self.scratch / side, side)
            whole = set(self.files) == set(TABLE.files)
            if not whole or any(_unexpected(side, file, found) for file in TABLE.files):
                return found
            kept = json.dumps({test: asdict(outcome) for test, outcome in found.items()})
            ensure_entry(entry, lambda folder: _write(folder / "outcomes.json", kept))
        document = json.loads((entry / "outcomes.json").read_text(encoding="utf-8"))
        return {test: Outcome(**outcome) for test, outcome in document.items()}

    def _run(self, server: Path, folder: Path, side: str) -> Outcomes:
        parts = suite.shares(self.files)
        found = suite.run(server, self.hub, folder / "first", engine=self.engine, parts=parts)
        lines = [line for file in self.files for line in _unexpected(side, file, found)]
        wrong = [f"unit/{test}" for test in found if any(x.startswith(f"{test}: ") for x in lines)]
        if 0 < len(wrong) <= AGAIN:
            once_more = (wrong,)
            again = folder / "again"
            found |= suite.run(server, self.hub, again, engine=self.engine, parts=once_more)
        return found


def _write(to: Path, text: str) -> None:
    to.write_text(text, encoding="utf-8")


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _unexpected(side: str, file: str, found: Outcomes) -> list[str]:
    return TABLE.unexpected(side, file, {t: (came.outcome, came.why) for t, came in found.items()})


@pytest.fixture(scope="module")
def ground(
    request: pytest.FixtureRequest,
    engine_source: Path,
    minilm_gguf: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ground]:
    """The models, in a Hub that listens while the tests run."""
    files = _selected(request.session.items)
    scratch = tmp_path_factory.mktemp("suite")
    models.make(scratch / "models", minilm_gguf)
    digest = hashlib.sha256(load_sources().engine.package.sha256.encode())
    digest.update(version("openai").encode())
    harness = [HERE / name for name in ("bundled.py", "recorder.py", "suite.py")]
    for path in (*harness, stories.LORA, *sorted((scratch / "models").iterdir())):
        digest.update(path.name.encode() + _digest(path))
    with Hub() as hub:
        models.fill(hub, scratch / "models")
        folder, identity = scratch / "models", digest.hexdigest()
        yield Ground(hub, folder, engine_source, scratch, identity, files)


def _selected(items: Sequence[pytest.Item]) -> list[str]:
    """The files of those tests here that run; all of them for a test of the whole."""
    calls = [getattr(item, "callspec", None) for item in items if item.path == Path(__file__)]
    files = [call.params["file"] for call in calls if call and "file" in call.params]
    whole = any(item.name == test_the_table_knows_all_tests.__name__ for item in items)
    return list(TABLE.files) if whole else files


@pytest.fixture(scope="module")
def executables(ground: Ground, cast: Cast) -> Mapping[str, Path]:
    """By the repository and the file that a test names."""
    made = {name: ground.models / f"{file}.gguf" for name, file in _BUNDLED.items()}
    exes = {name: cast(model, name=model.stem) for name, model in made.items()}
    vision = cast(
        ground.models / "plain.gguf", name="vision", mmproj=ground.models / "projector.gguf"
    )
    return exes | {models.VISION: vision}


_BUNDLED = {
    models.PLAIN: "plain",
    models.INFILL: "infill",
    models.MOE: "hello",
    models.EMBEDDING: "embedding",
    models.RANKER: "ranker",
}


@pytest.fixture(scope="module")
def found(ground: Ground, executables: Mapping[str, Path]) -> Mapping[str, Outcomes]:
    """The outcomes of both sides."""
    upstream = ensure_server(Console())
    chosen = os.environ.get("INGOT_SUITE_SERVER")
    if chosen:
        server, programs = Path(chosen), [Path(chosen)]
    else:
        (ground.scratch / "none").mkdir()
        plain, script = executables[models.PLAIN], ground.scratch / "llama-server"
        server = bundled.script(script, executables, other=plain, models=ground.scratch / "none")
        programs = list(executables.values())
    with ThreadPoolExecutor(2) as pool:  # the tests wait more than they compute
        ours = pool.submit(ground.outcomes, "executable", server, *programs)
        theirs = ground.outcomes("upstream", upstream, upstream)
        return {"executable": ours.result(), "upstream": theirs}


@pytest.mark.parametrize("file", TABLE.files)
def test_an_executable_does_what_llama_server_does(
    file: str, found: Mapping[str, Outcomes]
) -> None:
    """Test by test; where the table names a difference, it is still there."""
    lines = {side: _unexpected(side, file, found[side]) for side in ("executable", "upstream")}
    assert not any(lines.values()), lines


def test_the_table_knows_all_tests(found: Mapping[str, Outcomes]) -> None:
    counts = dict.fromkeys(TABLE.files, 0)
    for test in found["upstream"]:
        file = test.partition("::")[0]
        counts[file] = counts.get(file, 0) + 1
    assert counts == TABLE.files
    assert found["executable"].keys() == found["upstream"].keys()


def test_every_entry_of_the_table_is_a_test_of_the_suite() -> None:
    named = [test for group in TABLE.groups for test in group.tests]
    files = {test.partition("::")[0] for test in (*named, *TABLE.unsteady)}
    assert files <= TABLE.files.keys()


def test_the_page_shows_the_table() -> None:
    """``python -m tests.upstream.table`` writes it."""
    assert between(PAGE.read_text(encoding="utf-8"))[1] == page(TABLE)
