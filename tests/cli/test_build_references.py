"""``ingot build`` with models that are elsewhere: what it takes, fetches, says and makes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingot.bundle.reader import open_bundle
from ingot.recipe.sbom import read_provenance
from tests.conftest import Ingot
from tests.golden.samples import seed_cache, write_lora, write_model, write_projector, write_split
from tests.hub.server import Hub

REPO = "org/tiny-GGUF"


@pytest.fixture(autouse=True)
def seeded(cache: Path) -> None:
    seed_cache()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub with one repository, and an environment that points to it."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    made = tmp_path / "made"
    made.mkdir()
    with Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        running.add(
            REPO,
            {
                "tiny-Q4_K_M.gguf": write_model(made / "a", general__name="four"),
                "tiny-Q8_0.gguf": write_model(made / "b", general__name="eight"),
            },
        )
        yield running


@pytest.fixture
def built(ingot: Ingot, tmp_path: Path) -> Callable[..., dict[str, object]]:
    def build(*words: str | os.PathLike[str]) -> dict[str, object]:
        done = ingot("build", *words, "--json", "--force", "-o", tmp_path / "out")
        assert done.returncode == 0, done.stderr
        manifest: dict[str, object] = json.loads(done.stdout)["manifest"]
        return manifest

    return build


def names(manifest: dict[str, object]) -> list[str]:
    entries = manifest["entries"]
    assert isinstance(entries, list)
    return [entry["name"] for entry in entries if entry["name"].startswith("models/")]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([REPO], "tiny-Q4_K_M.gguf"),
        ([f"{REPO}:q8_0"], "tiny-Q8_0.gguf"),
        (["-hf", f"{REPO}:Q8_0"], "tiny-Q8_0.gguf"),
        (["--hf-repo", REPO], "tiny-Q4_K_M.gguf"),
        ([f"hf://{REPO}/tiny-Q8_0.gguf"], "tiny-Q8_0.gguf"),
        ([f"hf://{REPO}@main:Q8_0"], "tiny-Q8_0.gguf"),
        ([f"https://huggingface.co/{REPO}/blob/main/tiny-Q8_0.gguf"], "tiny-Q8_0.gguf"),
    ],
)
def test_the_spellings_of_a_repository(
    built: Callable[..., dict[str, object]], hub: Hub, words: list[str], name: str
) -> None:
    assert names(built(*words)) == [f"models/{name}"]


def test_the_sbom_says_where_the_model_came_from_and_its_hash(
    built: Callable[..., dict[str, object]], hub: Hub, tmp_path: Path
) -> None:
    built(f"{REPO}:Q8_0")
    with open_bundle(tmp_path / "out") as bundle:
        known = read_provenance(bundle.read(bundle.manifest.with_role("sbom")[0]))
    (one,) = known.values()
    assert one.source and re.fullmatch(
        f"{hub.url}/{REPO}/resolve/[0-9a-f]{{40}}/tiny-Q8_0.gguf", one.source
    )
    assert one.sha256 == hashlib.sha256((tmp_path / "made" / "b").read_bytes()).hexdigest()


def test_the_sbom_does_not_name_paths_of_this_machine(
    built: Callable[..., dict[str, object]], tmp_path: Path
) -> None:
    built(write_model(tmp_path / "tiny.gguf"))
    with open_bundle(tmp_path / "out") as bundle:
        assert str(tmp_path).encode() not in bundle.read(bundle.manifest.with_role("sbom")[0])


def test_the_default_output_is_named_after_the_file(ingot: Ingot, hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    done = ingot("build", REPO, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert os.listdir(folder) == ["tiny-Q4_K_M"]
    assert "Fetching tiny-Q4_K_M.gguf" in done.stderr


def test_an_existing_output_is_seen_before_anything_is_fetched(
    ingot: Ingot, hub: Hub, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("mine")
    done = ingot("build", REPO, "-o", tmp_path / "out")
    assert done.returncode == 3
    assert "exists already" in done.stderr
    assert hub.downloads() == []


def test_offline(
    ingot: Ingot, built: Callable[..., dict[str, object]], hub: Hub, tmp_path: Path
) -> None:
    done = ingot("build", REPO, "--offline", "-o", tmp_path / "out")
    assert done.returncode == 4
    assert "nothing of it is in the cache" in done.stderr
    built(REPO)
    hub.requests.clear()
    assert names(built(REPO, "--offline")) == ["models/tiny-Q4_K_M.gguf"]
    done = ingot("build", REPO, "-o", tmp_path / "other", env={"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    assert hub.requests == []


def test_parts_and_projector(
    ingot: Ingot, built: Callable[..., dict[str, object]], hub: Hub, tmp_path: Path
) -> None:
    parts = write_split(tmp_path, stem="big-Q4_K_M")
    projector = write_projector(tmp_path / "mmproj-F16.gguf")
    hub.add(REPO, {**{path.name: path for path in parts}, "mmproj-F16.gguf": projector})
    assert names(built(REPO)) == ["models/big-Q4_K_M.gguf", "models/mmproj-F16.gguf"]
    assert names(built(REPO, "--no-mmproj")) == ["models/big-Q4_K_M.gguf"]
    done = ingot("build", REPO, "-o", tmp_path / "other")
    assert "with the projector mmproj-F16.gguf of the same repository" in done.stderr


def test_projector_adapter_and_draft_from_elsewhere(
    built: Callable[..., dict[str, object]], hub: Hub, tmp_path: Path
) -> None:
    hub.add("org/eyes", {"mmproj-eyes.gguf": write_projector(tmp_path / "p")})
    lora = hub.page("lora.gguf", write_lora(tmp_path / "l"))
    local = write_model(tmp_path / "local.gguf")
    manifest = built(
        local, "--mmproj", "org/eyes", "--lora", lora, "--draft", f"{REPO}:Q8_0"
    )  # fmt: skip
    assert names(manifest) == [
        "models/local.gguf",
        "models/mmproj-eyes.gguf",
        "models/lora.gguf",
        "models/tiny-Q8_0.gguf",
    ]


def test_a_url_and_an_archive(
    built: Callable[..., dict[str, object]], hub: Hub, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "one.gguf")
    assert names(built(hub.page("two.gguf", model))) == ["models/two.gguf"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.write(model, "in/three.gguf")
        made.write(model, "in/four.gguf")
    url = hub.page("a.zip", tmp_path / "a.zip")
    assert names(built(f"{url}#in/three.gguf")) == ["models/three.gguf"]
    assert names(built(f"{tmp_path / 'a.zip'}#four.gguf")) == ["models/four.gguf"]


def test_an_archives_model_names_the_output(ingot: Ingot, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.write(write_model(tmp_path / "m"), "in/three.gguf")
    done = ingot("build", tmp_path / "a.zip", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert os.listdir(folder) == ["three"]


def test_a_model_given_twice(ingot: Ingot, tmp_path: Path) -> None:
    done = ingot("build", "a.gguf", "-hf", REPO)
    assert done.returncode == 2
    assert "MODEL is given twice" in done.stderr


def test_a_path_that_is_not_there_says_what_was_tried(ingot: Ingot, hub: Hub) -> None:
    done = ingot("build", "org/mistral", "-o", "x")
    assert done.returncode == 3
    assert "no such repository at" in done.stderr
    assert "and no such file here" in done.stderr
