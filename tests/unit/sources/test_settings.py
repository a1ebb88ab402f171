from __future__ import annotations

from pathlib import Path

import pytest

from ingot.errors import UsageError
from ingot.sources.settings import DEFAULT_ENDPOINT, settings_from


def test_defaults(tmp_path: Path) -> None:
    settings = settings_from({"HOME": str(tmp_path)})
    assert settings.hub_cache == tmp_path / ".cache" / "huggingface" / "hub"
    assert settings.endpoint == DEFAULT_ENDPOINT
    assert settings.token is None
    assert not settings.offline


@pytest.mark.parametrize(
    ("env", "cache"),
    [
        ({"HF_HUB_CACHE": "/c", "HF_HOME": "/h"}, "/c"),
        ({"HUGGINGFACE_HUB_CACHE": "/l", "HF_HOME": "/h"}, "/l"),
        ({"HF_HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/h/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
    ],
)
def test_where_the_cache_is(env: dict[str, str], cache: str) -> None:
    assert settings_from({"HOME": "/u", **env}).hub_cache == Path(cache)


def test_the_token_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_file\n")
    (tmp_path / "other").write_text("hf_other")
    home = {"HF_HOME": str(tmp_path)}
    assert settings_from(home).token == "hf_file"
    assert settings_from({**home, "HF_TOKEN": " hf_env "}).token == "hf_env"
    assert settings_from({**home, "HF_TOKEN_PATH": str(tmp_path / "other")}).token == "hf_other"
    assert settings_from({**home, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}).token is None


def test_the_token_is_not_shown() -> None:
    assert "hf_secret" not in repr(settings_from({"HOME": "/u", "HF_TOKEN": "hf_secret"}))


@pytest.mark.parametrize("token", ["a b", "a\nX-Evil: 1", "schlüssel", "x" * 5000])
def test_a_token_that_is_none_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings_from({"HOME": "/u", "HF_TOKEN": token})
    assert caught.value.code == "bad-token"
    assert token not in caught.value.message


@pytest.mark.parametrize("value", ["1", "ON", "yes", "True"])
def test_offline(value: str) -> None:
    assert settings_from({"HOME": "/u", "HF_HUB_OFFLINE": value}).offline
    assert not settings_from({"HOME": "/u", "HF_HUB_OFFLINE": "0"}).offline
    assert settings_from({"HOME": "/u"}, offline=True).offline


def test_a_mirror() -> None:
    env = {"HOME": "/u", "HF_ENDPOINT": "http://mirror:8080/hf/"}
    assert settings_from(env).endpoint == "http://mirror:8080/hf"


@pytest.mark.parametrize(
    "text", ["mirror", "ftp://mirror", "https://", "https://u:p@m", "http://m?x"]
)
def test_what_is_no_mirror(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings_from({"HOME": "/u", "HF_ENDPOINT": text})
    assert caught.value.code == "bad-endpoint"


def test_without_a_home_the_cache_is_ingots_own(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda text: text)
    assert settings_from({}).hub_cache == cache / "huggingface" / "hub"
