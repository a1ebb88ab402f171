"""Executables that say what they were built from: rebuild, recorded tests, signing."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from ingot.bundle.manifest import RECIPE
from ingot.bundle.reader import open_bundle
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import repository
from tests.conftest import Ingot
from tests.hub.server import Hub
from tests.models.quantised import quantised

DEMO = repository() / "recipes" / "demo"
RECIPE_TEXT = """
[model]
main = "m.gguf"
[runtime]
args = ["-c", "128"]
[metadata]
name = "demo"
version = "1.2"
homepage = "https://example.org/demo"
license-file = "LICENSE"
icon = "icon.svg"
[[test]]
name = "continues"
prompt = "def add(a, b):"
args = ["-n", "12", "--temp", "0"]
expect = "Add"
[[test]]
name = "speaks French"
prompt = "x"
args = ["-n", "2", "--temp", "0"]
expect = "bonjour"
[signing]
command = ["sh", "-c", "sha256sum < {file} > {file}.sig"]
"""

pytestmark = pytest.mark.runtime


@pytest.fixture
def home(tmp_path: Path, ingot: Ingot, runtime_image: RuntimeImage) -> Path:
    """A folder with a recipe of everything, whose executable was built into ``out``."""
    folder = tmp_path / "cwd"
    shutil.copy(DEMO / "pystdlib-7m.gguf", folder / "m.gguf")
    shutil.copy(DEMO / "LICENSE", folder)
    (folder / "icon.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "ingot.toml").write_text(RECIPE_TEXT)
    done = ingot("build", "ingot.toml", "-o", "out")
    assert done.returncode == 0, done.stderr
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def error(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, json.loads(done.stdout)["error"]["code"]


def test_from_the_recipes_folder_and_from_nothing(home: Path, ingot: Ingot, tmp_path: Path) -> None:
    executable = home / "out" / "demo"
    done = ingot("rebuild", "out/demo", "--json", "-o", "again")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["same"] is True
    assert document["carried"] == []
    assert sha256(home / "again") == sha256(executable) == document["sha256"]["rebuilt"]

    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(executable, alone)
    done = ingot("rebuild", "demo", "--json", cwd=alone)
    assert done.returncode == 0, done.stderr
    carried = ["models/m.gguf", "licenses/model.txt", "ui/favicon.svg"]
    assert json.loads(done.stdout)["carried"] == carried
    assert [path.name for path in alone.iterdir()] == ["demo"], "nothing is left"


def test_it_carries_nothing_of_the_machine(home: Path, ingot: Ingot) -> None:
    with open_bundle(home / "out" / "demo") as bundle:
        (entry,) = bundle.manifest.with_role(RECIPE)
        record = bundle.read(entry)
        assert bundle.manifest.about.version == "1.2"
    assert str(home).encode() not in record
    own = json.loads(record)
    assert {one["role"] for one in own["lock"]["inputs"]} == {"model", "license", "icon"}
    done = subprocess.run([home / "out" / "demo", "recipe"], capture_output=True, check=True)
    assert done.stdout == record
    info = subprocess.run([home / "out" / "demo", "info"], capture_output=True, check=True).stdout
    assert b"version        1.2\n" in info
    assert b"homepage       https://example.org/demo\n" in info


def test_the_time_that_was_asked_for_is_part_of_it(home: Path, ingot: Ingot) -> None:
    env = {"SOURCE_DATE_EPOCH": "1700000000"}
    assert ingot("build", "ingot.toml", "-o", "dated", env=env).returncode == 0
    assert sha256(home / "dated" / "demo") != sha256(home / "out" / "demo")
    assert ingot("rebuild", "dated/demo").returncode == 0


def test_recorded_tests_are_in_the_manifest_and_do_not_hinder(home: Path, ingot: Ingot) -> None:
    done = ingot("test", "-o", "out", "--record")
    assert done.returncode == 1
    info = subprocess.run([home / "out" / "demo", "info"], capture_output=True, check=True).stdout
    assert b"1 of 2 passed where it was built" in info
    with open_bundle(home / "out" / "demo") as bundle:
        tests = bundle.manifest.about.tests
    assert tests is not None
    assert [(one.name, one.passed) for one in tests] == [
        ("continues", True),
        ("speaks French", False),
    ]
    assert ingot("verify", "out/demo").returncode == 0
    assert ingot("rebuild", "out/demo").returncode == 0
    shown = ingot("inspect", "out/demo").stdout
    assert "1 of 2 passed; failed: speaks French" in shown


def test_somebody_changed_it(home: Path, ingot: Ingot) -> None:
    """Other defaults under the same recipe: a repack that claims not to be one."""
    executable = home / "out" / "demo"
    content = executable.read_bytes()
    executable.write_bytes(_resealed(content, b'"128"', b'"129"'))
    done = ingot("rebuild", "out/demo", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["same"] is False
    assert [one["what"] for one in document["differences"]] == ["defaults.args"]
    done = ingot("rebuild", "out/demo")
    assert done.returncode == 1
    assert "defaults.args: ['-c', '129'] and ['-c', '128']" in done.stdout
    assert "was not reproduced" in done.stderr


def test_weights_that_the_lock_does_not_mean(home: Path, ingot: Ingot, tmp_path: Path) -> None:
    executable = home / "out" / "demo"
    content = executable.read_bytes()
    locked = sha256(home / "m.gguf").encode()
    with open_bundle(executable) as bundle:
        (entry,) = bundle.manifest.with_role(RECIPE)
        record = bundle.read(entry)
    assert locked in record
    quantised(home / "m.gguf", "Q4_K_M")
    # Not the locked file: the executable's own is taken, and is what was locked.
    assert json.loads(ingot("rebuild", "out/demo", "--json").stdout)["carried"] == ["models/m.gguf"]
    assert executable.read_bytes() == content


def test_what_cannot_be_rebuilt(home: Path, ingot: Ingot) -> None:
    assert ingot("build", "m.gguf", "-o", "plain").returncode == 0
    assert error(ingot("rebuild", "plain", "--json")) == (3, "no-recipe")
    assert error(ingot("rebuild", "m.gguf", "--json")) == (3, "not-a-bundle")
    assert error(ingot("rebuild", "out/demo", "-o", "plain", "--json")) == (3, "output-exists")
    assert ingot("repack", "out/demo", "-o", "repacked").returncode == 0
    assert error(ingot("rebuild", "repacked", "--json")) == (3, "no-recipe")

    executable = home / "out" / "demo"
    with open_bundle(executable) as bundle:
        key = bundle.manifest.about.runtime_key.encode()
    executable.write_bytes(_resealed(executable.read_bytes(), key, key[::-1]))
    assert error(ingot("rebuild", "out/demo", "--json")) == (3, "other-runtime")


def test_from_a_hub(
    ingot: Ingot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime_image: RuntimeImage
) -> None:
    """The weights come from where they came from at first; --carried asks nobody."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.add("acme/m", {"m-BF16.gguf": DEMO / "pystdlib-7m.gguf"})
        (tmp_path / "cwd" / "ingot.toml").write_text('[model]\nmain = "hf://acme/m:BF16"\n')
        assert ingot("build", "ingot.toml").returncode == 0
        shutil.rmtree(tmp_path / "hf")
        assert error(ingot("rebuild", "m-BF16", "--offline", "--json")) == (4, "offline")
        before = len(hub.downloads())
        done = ingot("rebuild", "m-BF16", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["carried"] == []
        assert len(hub.downloads()) == before + 1
        shutil.rmtree(tmp_path / "hf")
        done = ingot("rebuild", "m-BF16", "--carried", "--offline", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["carried"] == ["models/m-BF16.gguf"]


def test_signing(home: Path, ingot: Ingot) -> None:
    done = ingot("sign", "-o", "out", "--json")
    assert done.returncode == 0, done.stderr
    (signed,) = json.loads(done.stdout)["signed"]
    digest = sha256(home / "out" / "demo")
    assert signed["sha256"] == digest
    assert (home / "out" / "demo.sig").read_text() == f"{digest}  -\n"

    recipe = (home / "ingot.toml").read_text()
    for command, expected in (
        ('["sh", "-c", "echo no key >&2; exit 3", "{file}"]', (6, "tool-failed")),
        ('["no-such-signer", "{file}"]', (6, "tool-missing")),
        ('["minisign"]', (3, "bad-recipe")),
        ('["sh", "-c", "echo >> {file}"]', (5, "changed-by-signing")),
    ):
        text = recipe.partition("[signing]")[0] + f"[signing]\ncommand = {command}\n"
        (home / "ingot.toml").write_text(text)
        assert error(ingot("sign", "-o", "out", "--json")) == expected
    (home / "ingot.toml").write_text(recipe.partition("[signing]")[0])
    assert error(ingot("sign", "-o", "out", "--json")) == (3, "no-signing")
    (home / "ingot.toml").write_text(recipe)
    assert error(ingot("sign", "-o", "nowhere", "--json")) == (3, "not-built")


def _resealed(content: bytes, old: bytes, new: bytes) -> bytes:
    """With ``old`` replaced in the manifest, and every hash and CRC over it made right again."""
    tail = content[-107:]
    offset, size = int(tail[8:24], 16), int(tail[25:41], 16)
    manifest = content[offset : offset + size]
    assert manifest.count(old) >= 1
    assert len(old) == len(new)
    changed = manifest.replace(old, new)
    whole = content[:offset] + changed + content[offset + size :]
    for digest in (_crc, _sha256):
        whole = whole.replace(digest(manifest), digest(changed))
    return whole


def _crc(content: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(content))


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
