"""`./hello serve --models-dir`: several models, the carried one among them."""

from __future__ import annotations

import shutil
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cast, Run
from tests.models import DEMO, fixtures
from tests.models.ggufs import other_tokens, with_architecture
from tests.serving import announced, get, post

MODEL = "Phi, the model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    other_tokens(made / "other.gguf")
    return made


@pytest.fixture(scope="module")
def carried(cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An executable with a projector, and defaults of its author's."""
    projector = fixtures.projector(tmp_path_factory.mktemp("mm") / "projector.gguf")
    return cast(DEMO, name=MODEL, mmproj=projector, args=("-c", "512", "--temp", "0.25"))


@pytest.fixture(scope="module")
def url(carried: Path, folder: Path) -> Iterator[str]:
    words = ("--port", "0", "-t", "1", "--models-dir", str(folder), "--models-max", "1")
    with announced(carried, "serve", *words) as server:
        yield server.url


def complete(url: str, model: str) -> Any:
    return post(
        f"{url}/completion",
        {"model": model, "prompt": "def add(a, b):", "n_predict": 8, "temperature": 0},
    )


def test_the_carried_model_is_one_of_the_models(url: str) -> None:
    assert {model["id"] for model in get(f"{url}/v1/models")["data"]} >= {MODEL, "other"}
    assert get(f"{url}/props")["role"] == "router"


def test_a_model_that_cannot_be_loaded_says_why(carried: Path, tmp_path: Path) -> None:
    with_architecture(tmp_path / "bad.gguf", "zzzzz")
    words = ("--port", "0", "-t", "1", "--models-dir", str(tmp_path))
    with announced(carried, "serve", *words) as server:
        with pytest.raises(urllib.error.HTTPError):
            complete(server.url, "bad")
        assert server.process.stderr is not None
        said = server.process.stderr.readline().decode()
    assert "note: a model: the engine cannot load this model" in said and "zzzzz" in said


def test_each_model_answers_for_itself(url: str, folder: Path, carried: Path) -> None:
    for name, words in ((MODEL, ()), ("other", ("-m", str(folder / "other.gguf")))):
        with announced(carried, "serve", "--port", "0", "-t", "1", *words) as alone:
            mine = complete(alone.url, name)["content"]
        assert complete(url, name)["content"] == mine


def test_the_carried_model_has_all_that_it_carries(url: str) -> None:
    complete(url, MODEL)
    found = {model["id"]: model for model in get(f"{url}/v1/models")["data"]}
    assert "image" in found[MODEL]["architecture"]["input_modalities"]
    assert "image" not in found["other"]["architecture"]["input_modalities"]
    props = get(f"{url}/props?model={MODEL.replace(' ', '%20')}")
    assert props["model_alias"] == MODEL
    assert props["modalities"]["vision"] is True
    assert props["default_generation_settings"]["n_ctx"] == 512
    assert abs(props["default_generation_settings"]["params"]["temperature"] - 0.25) < 1e-6


def test_an_unknown_model_is_refused(url: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        complete(url, "nobody")
    assert refused.value.code in (400, 404)


def test_presets_are_read_again(hello: Path, folder: Path, tmp_path: Path) -> None:
    preset = tmp_path / "models.ini"
    preset.write_text(f"[small]\nmodel = {folder / 'other.gguf'}\n\n[hello]\ntemp = 0.5\n")
    words = ("serve", "--port", "0", "-t", "1", "--models-preset", str(preset))
    with announced(hello, *words) as server:
        assert {m["id"] for m in get(f"{server.url}/v1/models")["data"]} >= {"hello", "small"}
        preset.write_text("")
        names = {m["id"] for m in get(f"{server.url}/models?reload=1")["data"]}
    assert "hello" in names and "small" not in names


def test_the_environment_asks_for_a_router_too(hello: Path, tmp_path: Path) -> None:
    shutil.copy(DEMO, tmp_path / "copied.gguf")
    environment = {"LLAMA_ARG_MODELS_DIR": str(tmp_path)}
    words = ("serve", "--port", "0", "--deterministic")
    with announced(hello, *words, env=environment) as server:
        assert {m["id"] for m in get(f"{server.url}/v1/models")["data"]} >= {"hello", "copied"}
        answer = complete(server.url, "copied")
        assert answer["content"] == complete(server.url, "hello")["content"]
        # flags of Ingot's own reach the models too
        props = get(f"{server.url}/props?model=hello")
        assert props["default_generation_settings"]["params"]["temperature"] == 0
        assert props["total_slots"] == 1


def test_a_router_and_one_model_contradict_each_other(hello: Path, run: Run, folder: Path) -> None:
    done = run(hello, "serve", "-m", str(folder / "other.gguf"), "--models-dir", str(folder))
    assert done.returncode == 2 and b"a router has many models" in done.stderr
    done = run(hello, "chat", "--models-dir", str(folder))
    assert done.returncode == 2 and b"chat talks to one model" in done.stderr


def test_a_folder_that_is_not_there_is_an_error(hello: Path, run: Run, tmp_path: Path) -> None:
    done = run(hello, "serve", "--port", "0", "--models-dir", str(tmp_path / "nowhere"))
    assert done.returncode == 3
    assert done.stderr.startswith(b"error: ") and b"nowhere" in done.stderr
