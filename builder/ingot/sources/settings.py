"""What the environment says about the Hub: the variables that every Hub client reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ingot.errors import UsageError
from ingot.paths import cache_dir

DEFAULT_ENDPOINT = "https://huggingface.co"
MAX_TOKEN = 4096
_TRUE = ("1", "on", "yes", "true")


@dataclass(frozen=True)
class Settings:
    """``endpoint`` has no slash at its end; ``hub_cache`` is shared with other Hub clients.

    ``jobs`` is how many files are fetched at once.
    """

    hub_cache: Path
    endpoint: str = DEFAULT_ENDPOINT
    token: str | None = field(default=None, repr=False)
    offline: bool = False
    jobs: int = 4


def settings_from(
    environment: Mapping[str, str] | None = None, *, offline: bool = False
) -> Settings:
    """Read HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME, HF_HUB_CACHE and HF_HUB_OFFLINE.

    Their meaning is that of huggingface_hub's environment variables; without a home folder the
    Hub's cache is in Ingot's own. ``offline`` adds to the last of them. Raises UsageError
    ``bad-endpoint`` or ``bad-token``, InputError ``no-cache-folder``.
    """
    env = os.environ if environment is None else environment
    home = _home(env)
    cache = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE")
    return Settings(
        hub_cache=_path(cache) if cache else home / "hub",
        endpoint=_endpoint(env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT),
        token=_token(env, home),
        offline=offline or _true(env, "HF_HUB_OFFLINE") or _true(env, "TRANSFORMERS_OFFLINE"),
    )


def _true(env: Mapping[str, str], name: str) -> bool:
    return env.get(name, "").strip().lower() in _TRUE


def _path(text: str) -> Path:
    return Path(os.path.expandvars(os.path.expanduser(text))).absolute()


def _home(env: Mapping[str, str]) -> Path:
    if env.get("HF_HOME"):
        return _path(env["HF_HOME"])
    if env.get("XDG_CACHE_HOME"):
        return _path(env["XDG_CACHE_HOME"]) / "huggingface"
    user = env.get("HOME") or os.path.expanduser("~")
    if not os.path.isabs(user):  # HOME is not set and this user has no home folder.
        return cache_dir() / "huggingface"
    return Path(user) / ".cache" / "huggingface"


def _endpoint(text: str) -> str:
    endpoint = text.strip().rstrip("/")
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        usable = usable and not (parts.query or parts.fragment or parts.username)
        usable = usable and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(
            f"HF_ENDPOINT is not the address of a Hub: {text!r}",
            hint=f"give it as {DEFAULT_ENDPOINT}, or unset it",
            code="bad-endpoint",
        )
    return endpoint


def _token(env: Mapping[str, str], home: Path) -> str | None:
    if _true(env, "HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    origin = "HF_TOKEN"
    token = env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN") or ""
    if not token.strip():
        path = _path(env["HF_TOKEN_PATH"]) if env.get("HF_TOKEN_PATH") else home / "token"
        origin = str(path)
        try:
            with path.open(encoding="utf-8") as file:
                token = file.read(MAX_TOKEN + 1)
        except (OSError, UnicodeDecodeError):
            return None
    token = token.strip()
    if not token:
        return None
    if len(token) > MAX_TOKEN or not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(
            f"the token in {origin} is not a token: it has characters that no token has",
            hint="log in again, or unset HF_TOKEN",
            code="bad-token",
        )
    return token
