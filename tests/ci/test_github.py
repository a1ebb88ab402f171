"""The action and the workflow, run by act; the models come from a Hub on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Quant

from ingot.engine.image import RuntimeImage
from ingot.paths import cache_dir
from tests.ci.github import SECRET, Finished, GitHub
from tests.ci.shell import build_sh
from tests.hub.server import Hub
from tests.models import DEMO
from tests.models.quantised import converted

REPO = "acme/pystdlib-GGUF"
MODELS = ("BF16", "Q8_0", "Q4_0")
TARGETS = {
    "plain": '["-c", "512"]',
    "long": '["-c", "1024"]',
    "cold": '["-c", "512", "--temp", "0"]',
    "wild": '["-c", "512", "--temp", "2"]',
}
OUTPUTS = [f"{target}-{model}" for target in TARGETS for model in MODELS]
TEST = """
[[test]]
name = "writes"
prompt = "def add(a, b):"
args = ["-n", "4", "--temp", "0"]
matches = "."
"""
SIGNING = """
[signing]
command = ["sh", "-c", 'echo "$INGOT_SIGNING_KEY" > "$1.sig"', "sh", "{file}"]
"""
WORKFLOW = """
on: push
jobs:
  executables:
    uses: OWNER/ingot/.github/workflows/executables.yml@VERSION
    permissions: {contents: read, id-token: write, attestations: write}
    with:
      recipe: recipe.toml
      sign: true
      attest: true
      cache: all
      repository: OWNER/ingot
      ref: VERSION
      ingot: COMMAND
    secrets: {signing-key: "${{ secrets.SIGNING_KEY }}"}
"""
ACTION = """
on: push
jobs:
  one:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7
      - id: ingot
        uses: OWNER/ingot@VERSION
        with: {recipe: recipe.toml, locked: "false", attest: "true"}
      - env:
          FILE: ${{ steps.ingot.outputs.path }}
          SHA256: ${{ steps.ingot.outputs.sha256 }}
          NAME: ${{ fromJSON(steps.ingot.outputs.executables)[0].file }}
        run: |
          echo "$SHA256  $FILE" | sha256sum --check
          test "$NAME" = hello
"""

pytestmark = pytest.mark.runtime


@dataclass(frozen=True)
class FanOut:
    """A run of the workflow for three models and four targets; ``env`` is for more of the kind."""

    github: GitHub
    done: Finished
    recipe: Path
    env: dict[str, str]

    @property
    def release(self) -> Path:
        """The artifact with everything."""
        return self.github.store / "artifacts" / "release"

    @property
    def sums(self) -> dict[str, str]:
        """Executable -> sha256, as SHA256SUMS says."""
        lines = (self.release / "SHA256SUMS").read_text().splitlines()
        return {name: digest for digest, name in (line.split() for line in lines)}


@pytest.fixture(scope="module")
def fan_out(
    tmp_path_factory: pytest.TempPathFactory, runtime_image: RuntimeImage
) -> Iterator[FanOut]:
    folder = tmp_path_factory.mktemp("fan-out")
    github = GitHub(folder / "github")
    recipe = github.caller / "recipe.toml"
    recipe.write_text(recipe_text())
    files = {model: converted(folder / f"{model}.gguf", Quant[model]) for model in MODELS}
    with Hub() as hub:
        hub.add(REPO, {f"pystdlib-{model}.gguf": path for model, path in files.items()})
        env = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf")}
        subprocess.run([github.command, "lock", recipe], env={**os.environ, **env}, check=True)
        done = github.run(
            WORKFLOW.replace("COMMAND", str(github.command)), {"HF_ENDPOINT": hub.url}
        )
        yield FanOut(github, done, recipe, {**env, "INGOT": str(github.command)})
    shutil.rmtree(folder)  # a gigabyte


def recipe_text() -> str:
    """Three variants of four targets."""
    variants = [f'[[variant]]\nid = "{m}"\nmodel = "hf://{REPO}:{m}"\n' for m in MODELS]
    targets = [f'[[target]]\noutput = "{n}"\nargs = {args}\n' for n, args in TARGETS.items()]
    model = f'[model]\nmain = "hf://{REPO}:BF16"\n[runtime]\nui = false\n'
    return "".join([model, *variants, *targets, TEST, SIGNING])


@pytest.mark.slow
def test_twelve_jobs_between_two_each_in_an_empty_home(fan_out: FanOut) -> None:
    assert fan_out.done.status == 0, fan_out.done.said
    results = fan_out.done.results()
    assert len(results) == 1 + 12 + 1
    assert set(results.values()) == {"success"}
    homes = [home for _job, home in fan_out.done.recorded("home")]
    assert len(set(homes)) == len(results)


@pytest.mark.slow
def test_one_list_of_checksums(fan_out: FanOut) -> None:
    assert sorted(fan_out.sums) == sorted(OUTPUTS)
    check = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=fan_out.release, capture_output=True, text=True
    )
    assert (check.returncode, check.stdout.count(": OK")) == (0, 12), check.stdout


@pytest.mark.slow
def test_signatures_lie_beside_the_executables(fan_out: FanOut) -> None:
    others = {path.name for path in fan_out.release.iterdir()} - {*OUTPUTS, "SHA256SUMS"}
    assert others == {f"{name}.sig" for name in OUTPUTS}
    assert {(fan_out.release / name).read_text() for name in others} == {f"{SECRET}\n"}


@pytest.mark.slow
def test_what_is_attested_and_shown_is_what_is_released(fan_out: FanOut) -> None:
    attested = fan_out.done.recorded("attest")
    assert {Path(file).name: digest for digest, file in attested} == fan_out.sums
    rows = [row for page in fan_out.done.pages() for row in page.splitlines()]
    for name, digest in fan_out.sums.items():
        # By the job that built it, and by the last one.
        shown = [row for row in rows if row.startswith(f"| `{name}` | linux-x86_64 |")]
        assert len(shown) == 2
        assert all(row.endswith(f"| `{digest}` | 1 of 1 passed |") for row in shown)


@pytest.mark.slow
def test_one_runtime_is_kept_and_each_model_once(fan_out: FanOut) -> None:
    homes = [home for _job, home in fan_out.done.recorded("home")]
    kept = dict(fan_out.done.recorded("cache"))
    runtime, *models = sorted(kept, key=lambda key: key.startswith("ingot-models-"))
    plan = [str(fan_out.github.command), "plan", str(fan_out.recipe), "--cache-key", "runtime"]
    key = subprocess.run(plan, check=True, capture_output=True, text=True).stdout.strip()
    assert runtime == f"ingot-runtime-{key}"
    assert kept[runtime] == str(cache_dir() / "runtimes" / key)
    assert len(models) == 3
    assert all(kept[one].startswith(tuple(homes)) for one in models)


@pytest.mark.slow
def test_the_same_bytes_in_one_go(fan_out: FanOut) -> None:
    folder = fan_out.github.store / "in one go"
    once = build_sh(fan_out.recipe, "-o", folder, env=fan_out.env)
    assert once.returncode == 0, once.stderr
    for name in OUTPUTS:
        assert (folder / name).read_bytes() == (fan_out.release / name).read_bytes(), name


@pytest.mark.network
def test_the_action_with_its_own_ingot(tmp_path: Path, runtime_image: RuntimeImage) -> None:
    github = GitHub(tmp_path / "github")
    shutil.copy(DEMO, github.caller / "m.gguf")
    text = f'[model]\nmain = "m.gguf"\n[metadata]\nname = "hello"\n{TEST}'
    (github.caller / "recipe.toml").write_text(text)
    # A cache of its own: its Python environment is for a checkout that is gone afterwards.
    own = tmp_path / "cache"
    own.mkdir(mode=0o700)
    (own / "runtimes").symlink_to(cache_dir() / "runtimes")
    done = github.run(ACTION, {"INGOT_CACHE": str(own)})
    assert done.status == 0, done.said
    ((digest, file),) = done.recorded("attest")
    assert Path(file).name == "hello"
    (page,) = done.pages()
    assert f"`{digest}` | 1 of 1 passed |" in page
