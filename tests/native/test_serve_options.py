"""Options of `./hello serve` that the engine alone would take otherwise."""

from __future__ import annotations

import json
import math
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cast, Run
from tests.models import DEMO, fixtures
from tests.serving import announced, get, post

ASK = {"messages": [{"role": "user", "content": "import os"}], "max_tokens": 4, "temperature": 0}


@pytest.fixture(scope="module")
def url(hello: Path) -> Iterator[str]:
    with announced(hello, "serve", "--port", "0", "-t", "1") as server:
        yield server.url


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (("--no-jinja",), {}),
        ((), {"LLAMA_ARG_JINJA": "0"}),
        ((), {"LLAMA_ARG_NO_JINJA": "1"}),
    ],
)
def test_without_jinja_the_engines_fallback_serves(
    words: tuple[str, ...], environment: dict[str, str], hello: Path
) -> None:
    with announced(hello, "serve", "--port", "0", "-t", "1", *words, env=environment) as server:
        prompt = post(f"{server.url}/apply-template", ASK)["prompt"]
        assert prompt.startswith("<|im_start|>user\nimport os<|im_end|>")
        answer = post(f"{server.url}/v1/chat/completions", ASK)
    assert answer["choices"][0]["message"]["role"] == "assistant"


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (("--api-key", ""), {}),
        (("--api-key", ","), {}),
        (("--api-key", "  "), {}),
        (("--api-key-file", "keys"), {}),
        ((), {"LLAMA_API_KEY": ""}),
        ((), {"LLAMA_ARG_API_KEY_FILE": "keys"}),
    ],
)
@pytest.mark.parametrize("verb", ["serve", "chat"])
def test_an_empty_api_key_lets_nobody_in(
    verb: str,
    words: tuple[str, ...],
    environment: dict[str, str],
    hello: Path,
    run: Run,
    tmp_path: Path,
) -> None:
    (tmp_path / "keys").write_text("# none yet\n\r\n")
    done = run(hello, verb, *words, env={**environment, "PATH": "/bin"}, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: the API key is empty\nhint: "), done.stderr


def test_an_api_key_of_a_file_with_windows_line_ends_works(hello: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"# ours\r\nsecret\r\n")
    words = ("serve", "--port", "0", "-t", "1", "--api-key-file", str(tmp_path / "keys"))
    with announced(hello, *words) as server:
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{server.url}/props")
        assert refused.value.code == 401
        asked = post(f"{server.url}/tokenize", {"content": "a"}, {"Authorization": "Bearer secret"})
        assert asked["tokens"]


def test_embeddings_take_what_embed_takes(url: str, hello: Path, run: Run) -> None:
    text = "import os " * 300  # far above the engine's batch of 512 tokens
    answer = post(f"{url}/v1/embeddings", {"input": text})
    assert answer["usage"]["prompt_tokens"] > 512
    vector = answer["data"][0]["embedding"]
    mine = json.loads(run(hello, "embed", "--json", "-p", text).stdout)["data"][0]["embedding"]
    assert math.isclose(sum(a * b for a, b in zip(vector, mine, strict=True)), 1, abs_tol=1e-3)


def test_a_text_beyond_the_context_is_the_clients_mistake(url: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(f"{url}/v1/embeddings", {"input": "import os " * 9000})
    assert refused.value.code == 400


def test_texts_of_one_request_have_the_vectors_of_each_alone(hello: Path) -> None:
    texts = ["def add(a, b)", "import os", "class A:\n    pass", "return x + 1 if y else z"]
    with announced(hello, "serve", "--port", "0", "-t", "1", "-np", "2", "-c", "1024") as server:
        assert [slot["n_ctx"] for slot in get(f"{server.url}/slots")] == [512, 512]
        url = f"{server.url}/v1/embeddings"
        answers = [post(url, {"input": asked}) for asked in (texts, *texts)]
    together, *alone = ([row["embedding"] for row in answer["data"]] for answer in answers)
    for vector, (mine,) in zip(together, alone, strict=True):
        assert math.isclose(sum(a * b for a, b in zip(vector, mine, strict=True)), 1, abs_tol=1e-3)


@pytest.fixture(scope="module")
def seeing(cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cast(DEMO, mmproj=fixtures.projector(tmp_path_factory.mktemp("mm") / "projector.gguf"))


@pytest.mark.parametrize(
    ("words", "environment", "sees"),
    [
        ((), {}, True),
        (("--no-mmproj",), {}, False),
        (("--no-mmproj-auto",), {}, False),
        ((), {"LLAMA_ARG_MMPROJ_AUTO": "0"}, False),
        ((), {"LLAMA_ARG_NO_MMPROJ_AUTO": "1"}, False),
    ],
)
def test_a_carried_projector_can_be_left_out(
    words: tuple[str, ...], environment: dict[str, str], sees: bool, seeing: Path
) -> None:
    with announced(seeing, "serve", "--port", "0", "-t", "1", *words, env=environment) as server:
        assert get(f"{server.url}/props")["modalities"]["vision"] is sees


@pytest.mark.parametrize("name", ["Phi, the model", "zeta,alpha", ","])
def test_a_name_with_commas_is_one_name(name: str, cast: Cast) -> None:
    with announced(cast(DEMO, name=name), "serve", "--port", "0", "-t", "1") as server:
        assert [model["id"] for model in get(f"{server.url}/v1/models")["data"]] == [name]
        assert get(f"{server.url}/props")["model_alias"] == name
        assert post(f"{server.url}/v1/chat/completions", ASK)["model"] == name


def test_an_alias_of_the_users_is_cut_at_commas_as_the_engine_says(hello: Path) -> None:
    with announced(hello, "serve", "--port", "0", "-t", "1", "--alias", "a,b") as server:
        models: list[Any] = get(f"{server.url}/v1/models")["data"]
        assert models[0]["id"] == "a" and "b" in models[0]["aliases"]


def test_embedding_has_the_engines_shape_and_llamafiles_for_its_clients(
    url: str, hello: Path
) -> None:
    body = {"content": "import os"}
    theirs = post(f"{url}/embedding", body)[0]["embedding"][0]
    for words in (("--server",), ("serve", "--llamafile")):
        with announced(hello, *words, "--port", "0", "-t", "1") as server:
            assert post(f"{server.url}/embedding", body) == {"embedding": theirs}
            several = post(f"{server.url}/embedding", {"content": ["import os", "import re"]})
            assert [set(item) for item in several["results"]] == [{"embedding"}] * 2
            assert post(f"{server.url}/v1/embeddings", {"input": "a"})["object"] == "list"


@pytest.mark.parametrize("words", [("serve", "--port", "0"), ("-p", "hi"), ("embed", "-p", "hi")])
def test_a_model_that_is_not_in_the_hubs_cache_is_an_input_error(
    words: tuple[str, ...], hello: Path, run: Run, tmp_path: Path
) -> None:
    environment = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path), "PATH": "/bin"}
    done = run(hello, *words, "-hf", "nobody/nothing", env=environment)
    assert done.returncode == 3
    assert done.stderr.startswith(b"error: nobody/nothing is not in the Hugging Face cache\nhint: ")
    assert b"no TLS" in done.stderr and b"rebuild" not in done.stderr


def test_a_flag_that_names_another_model_is_not_ignored(
    hello: Path, run: Run, tmp_path: Path
) -> None:
    environment = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path), "PATH": "/bin"}
    done = run(hello, "serve", "--gpt-oss-20b-default", env=environment)
    assert done.returncode == 3, done
    assert b"of ggml-org/gpt-oss-20b-GGUF is not in the Hugging Face cache" in done.stderr
