"""A recipe from the Hub to a tested executable: init, lock, build --locked --offline, test.

The Hub is a real server on loopback, the executables are real ones: the demo model in two
quantisations.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType

from ingot.engine.image import RuntimeImage
from ingot.engine.pin import repository
from ingot.paths import cache_dir
from tests.conftest import Ingot
from tests.hub.server import Hub
from tests.models.quantised import converted, quantised

REPO = "acme/pystdlib-GGUF"
DEMO = repository() / "recipes" / "demo" / "pystdlib-7m.gguf"


@pytest.fixture
def hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime_image: RuntimeImage
) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    small = quantised(tmp_path / "q4.gguf", "Q4_K_M")
    with Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        running.add(REPO, {"pystdlib-BF16.gguf": DEMO, "pystdlib-Q4_K_M.gguf": small})
        yield running


def error(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    """Exit code and the code of the error document."""
    return done.returncode, json.loads(done.stdout)["error"]["code"]


def write(folder: Path, text: str) -> Path:
    path = folder / "ingot.toml"
    path.write_text(text, "utf-8")
    return path


def test_from_the_hub_to_a_tested_executable(hub: Hub, ingot: Ingot, tmp_path: Path) -> None:
    home = tmp_path / "cwd"
    assert ingot("init", f"{REPO}:BF16").returncode == 0
    recipe = home / "ingot.toml"
    text = recipe.read_text().replace('prompt = "Hello"', 'prompt = "def add(a, b):"')
    text = text.replace('matches = "."', 'expect = "Add"\nmemory = 500_000_000')
    recipe.write_text(text + '\n[[test]]\nname = "api"\napi = "openai"\n')

    done = ingot("lock", "--json")
    assert done.returncode == 0, done.stderr
    lock = json.loads(done.stdout)
    (entry,) = lock["inputs"]
    assert entry["files"][0]["sha256"] == hashlib.sha256(DEMO.read_bytes()).hexdigest()
    assert len(entry["files"][0]["commit"]) == 40
    assert lock["engine"]["package"] == "llama-cpp-python"
    assert not hub.downloads(), "the Hub tells sizes and hashes"

    plan = json.loads(ingot("plan", "--json").stdout)
    assert plan["download"] == DEMO.stat().st_size
    done = ingot("build", "ingot.toml", "--locked", "--offline", "--json")
    assert error(done) == (4, "offline")
    done = ingot("build", "ingot.toml", "--locked")
    assert done.returncode == 0, done.stderr
    first = (home / "pystdlib-GGUF-BF16").read_bytes()

    (home / "pystdlib-GGUF-BF16").unlink()
    before = len(hub.requests)
    done = ingot("build", "ingot.toml", "--locked", "--offline")
    assert done.returncode == 0, done.stderr
    assert len(hub.requests) == before, "offline asks nobody"
    assert (home / "pystdlib-GGUF-BF16").read_bytes() == first

    done = ingot("test", "--json")
    assert done.returncode == 0, done.stdout
    results = json.loads(done.stdout)["results"]["pystdlib-GGUF-BF16"]
    assert [one["passed"] for one in results] == [True, True]
    assert 0 < results[0]["first_token_seconds"] < results[0]["seconds"]
    assert DEMO.stat().st_size < results[0]["memory"] < 500_000_000


def test_a_test_that_fails(ingot: Ingot, tmp_path: Path, hub: Hub) -> None:
    write(
        tmp_path / "cwd",
        f'[model]\nmain = "{DEMO}"\n[metadata]\nname = "demo"\n'
        '[[test]]\nprompt = "x"\nargs = ["-n", "2", "--temp", "0"]\nexpect = "no such words"\n'
        "memory = 1000\n",
    )
    assert ingot("build", "ingot.toml").returncode == 0
    done = ingot("test", "--json")
    assert (done.returncode, json.loads(done.stdout)["passed"]) == (1, False)
    done = ingot("test")
    assert done.returncode == 1
    assert "'no such words' is not in the answer" in done.stdout
    assert "the budget is 1000" in done.stdout
    assert "1 of the recipe's tests failed" in done.stderr


def test_a_lock_that_does_not_fit(ingot: Ingot, tmp_path: Path, hub: Hub) -> None:
    home = tmp_path / "cwd"
    model = shutil.copy(DEMO, home / "m.gguf")
    recipe = write(home, '[model]\nmain = "m.gguf"\n')
    build = ("build", "ingot.toml", "--locked", "--json", "--force")
    assert error(ingot(*build)) == (3, "no-lock")
    assert ingot("lock").returncode == 0
    assert ingot("lock", "--check").returncode == 0
    assert ingot(*build).returncode == 0

    recipe.write_text('[model]\nmain = "m.gguf"\n[runtime]\nui = false\n')
    assert error(ingot(*build)) == (3, "lock-out-of-date")
    recipe.write_text('[model]\nmain = "m.gguf"\n')

    lock = json.loads((home / "ingot.lock").read_text())
    for change in ({"ingot": "0.0.0"}, {"engine": {**lock["engine"], "commit": "0" * 9}}):
        (home / "ingot.lock").write_text(json.dumps({**lock, **change}))
        assert error(ingot(*build)) == (3, "lock-out-of-date")
    (home / "ingot.lock").write_text(json.dumps({**lock, "recipe": 5}))
    assert error(ingot(*build)) == (5, "bad-lock")
    (home / "ingot.lock").write_text(json.dumps(lock))

    content = bytearray(Path(model).read_bytes())
    content[-1] ^= 1
    Path(model).write_bytes(content)
    assert error(ingot(*build)) == (5, "locked-file-differs")
    assert error(ingot("lock", "--check", "--json")) == (1, "lock-out-of-date")


def test_the_branch_moves_and_the_lock_does_not(hub: Hub, ingot: Ingot, tmp_path: Path) -> None:
    write(tmp_path / "cwd", f'[model]\nmain = "hf://{REPO}:Q4_K_M"\n')
    assert ingot("lock").returncode == 0
    hub.add(REPO, {"pystdlib-Q4_K_M.gguf": b"something else"})
    done = ingot("build", "ingot.toml", "--locked", "--json")
    # The file of the old commit, or the plain word that it is gone; never the new one.
    if done.returncode:
        assert error(done)[0] in (3, 4)
    else:
        wanted = json.loads((tmp_path / "cwd" / "ingot.lock").read_text())["inputs"][0]["files"][0]
        assert json.loads(done.stdout)["manifest"]["model"]["size"] == wanted["size"]


def test_the_same_bytes_whatever_surrounds_the_build(
    ingot: Ingot, tmp_path: Path, hub: Hub
) -> None:
    """Other folders, time zone, locale, umask, number of processors, user's home."""
    sums = set()
    surroundings = [
        ({"TZ": "UTC", "LC_ALL": "C", "HOME": str(tmp_path)}, 0o022, None),
        ({"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "7"}, 0o077, {0}),
    ]
    for number, (env, umask, cores) in enumerate(surroundings):
        folder = tmp_path / f"folder {number}" / ("deep/" * number)
        folder.mkdir(parents=True)
        shutil.copy(DEMO, folder / "m.gguf")
        write(folder, '[model]\nmain = "m.gguf"\n[metadata]\nname = "demo"\nlicense = "PSF-2.0"\n')

        def surround(umask: int = umask, cores: set[int] | None = cores) -> None:
            os.umask(umask)
            if cores:
                os.sched_setaffinity(0, cores)

        done = subprocess.run(
            [sys.executable, "-P", "-m", "ingot", "build", "ingot.toml"],
            cwd=folder,
            # Another home has another cache, and would compile the runtime once more.
            env={**os.environ, "INGOT_CACHE": str(cache_dir()), **env},
            preexec_fn=surround,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        sums.add(hashlib.sha256((folder / "demo").read_bytes()).hexdigest())
    assert len(sums) == 1


def test_one_job_for_each_executable_and_one_list_of_checksums(
    ingot: Ingot, tmp_path: Path, hub: Hub
) -> None:
    home = tmp_path / "cwd"
    variants = [
        f'[[variant]]\nid = "{name}"\nmodel = "hf://{REPO}:{quant}"\n'
        for name, quant in (("big", "BF16"), ("small", "Q4_K_M"))
    ]
    targets = [
        f'[[target]]\noutput = "{page}"\nargs = ["-c", "{context}"]\n'
        for page, context in (("short", 128), ("long", 256))
    ]
    write(home, '[model]\nmain = "unused.gguf"\n' + "".join([*variants, *targets]))
    matrix = json.loads(ingot("plan", "ingot.toml", "--matrix", "github").stdout)
    assert [job["target"] for job in matrix["include"]] == [
        *("short-big", "short-small", "long-big", "long-small"),
    ]
    for number, job in enumerate(matrix["include"]):
        words = ("build", job["recipe"], "--target", job["target"], "-o", f"job-{number}")
        done = ingot(*words, env={"HF_HOME": str(tmp_path / f"home-{number}")})
        assert done.returncode == 0, done.stderr
    done = ingot("collect", *(f"job-{n}" for n in range(4)), "-o", "release")
    assert done.returncode == 0, done.stderr
    diff = ingot("diff", "release/short-big", "release/long-big", "--json")
    assert diff.returncode == 1
    whats = [item["what"] for item in json.loads(diff.stdout)["differences"]]
    assert whats == ["defaults.args", "recipe.json", "sbom.json"]
    assert ingot("diff", "release/short-big", "job-0/short-big").returncode == 0
    check = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=home / "release", capture_output=True, text=True
    )
    assert check.returncode == 0
    assert check.stdout.count(": OK") == 4


def test_a_recipe_is_not_mixed_with_options_of_a_model(ingot: Ingot, tmp_path: Path) -> None:
    write(tmp_path / "cwd", '[model]\nmain = "m.gguf"\n')
    done = ingot("build", "ingot.toml", "--name", "x", "--json")
    assert error(done) == (2, "usage")
    assert "--name" in json.loads(done.stdout)["error"]["message"]


def test_plan_warns(ingot: Ingot, tmp_path: Path, hub: Hub) -> None:
    home = tmp_path / "cwd"
    quantised(home / "iq.gguf", "IQ2_S")
    write(home, '[model]\nmain = "iq.gguf"\n[runtime]\nargs = ["-c", "999999"]\n')
    (one,) = json.loads(ingot("plan", "--json").stdout)["executables"]
    text = "\n".join(one["warnings"])
    assert "no licence text" in text
    assert "-c 999999 is more than the" in text
    assert "iq2_xs" in text.lower()


def test_the_demo_as_a_recipe(ingot: Ingot, tmp_path: Path, hub: Hub) -> None:
    recipe = repository() / "recipes" / "demo" / "demo.toml"
    done = ingot("build", recipe, "-o", "out")
    assert done.returncode == 0, done.stderr
    done = ingot("test", recipe, "-o", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ingot("demo", "-o", "demo").returncode == 0
    done = ingot("diff", "out/pystdlib", "demo")
    assert (done.returncode, done.stdout) == (0, "they hold the same\n")
    home = tmp_path / "cwd"
    assert (home / "out" / "pystdlib").read_bytes() == (home / "demo").read_bytes()


def test_an_executable_is_held_to_another_model(ingot: Ingot, tmp_path: Path, hub: Hub) -> None:
    home = tmp_path / "cwd"
    shutil.copy(DEMO, home / "m.gguf")
    converted(home / "q8.gguf", GGMLQuantizationType.Q8_0)
    quantised(home / "noise.gguf", "IQ2_S")
    (home / "text.txt").write_text("def add(a, b):\n    return a + b\n" * 60)
    text = '[model]\nmain = "q8.gguf"\n'
    for name, require in (("m.gguf", "compatible"), ("m.gguf", "identical"), ("noise.gguf", "")):
        worst = f'require = "{require}"\n' if require else ""
        text += f'[[test]]\ncompare = "{name}"\ntext = "text.txt"\n{worst}'
    write(home, text + '[[test]]\ncompare = "gone.gguf"\n')
    assert ingot("build", "ingot.toml").returncode == 0
    done = ingot("test", "--json")
    assert done.returncode == 1, done.stderr
    close, not_same, far, gone = json.loads(done.stdout)["results"]["q8"]
    assert close["passed"]
    assert close["verdict"] in ("equivalent", "compatible")
    assert "and identical is required" in not_same["problems"][0]
    assert "not all finite" in far["problems"][0], "random weights are no model"
    assert "gone.gguf: there is no such file" in gone["problems"][0]
