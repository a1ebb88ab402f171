"""The script for any CI. What it starts is a program that only says how it was started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ci.shell import build_sh

FAKE = """#!/bin/sh
echo "$@" >> "$CALLS"
case $1 in ${FAILS:-none}) exit "${STATUS:-1}" ;; esac
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    ingot = tmp_path / "ingot fake"
    ingot.write_text(FAKE)
    ingot.chmod(0o755)
    return {"INGOT": str(ingot), "CALLS": str(tmp_path / "calls")}


def calls(env: dict[str, str]) -> list[str]:
    return Path(env["CALLS"]).read_text().splitlines()


def test_by_default(env: dict[str, str]) -> None:
    assert build_sh("r.toml", env=env).returncode == 0
    assert calls(env) == [
        "build r.toml -o executables --force --locked",
        "test r.toml -o executables --record --if-any",
        "summary r.toml -o executables",
    ]


def test_with_everything(env: dict[str, str]) -> None:
    words = ("-o", "a folder", "--target", "hello", "--unlocked", "--offline", "--sign")
    assert build_sh(*words, "r.toml", env=env).returncode == 0
    assert calls(env) == [
        "build r.toml -o a folder --target hello --force --offline",
        "test r.toml -o a folder --target hello --record --if-any",
        "sign r.toml -o a folder --target hello",
        "summary r.toml -o a folder --target hello",
    ]


def test_without_tests(env: dict[str, str]) -> None:
    assert build_sh("r.toml", "--no-test", env=env).returncode == 0
    assert [call.split()[0] for call in calls(env)] == ["build", "summary"]


def test_what_fails_its_tests_is_shown_and_not_signed(env: dict[str, str]) -> None:
    done = build_sh("r.toml", "--sign", env={**env, "FAILS": "test", "STATUS": "1"})
    assert done.returncode == 1
    assert [call.split()[0] for call in calls(env)] == ["build", "test", "summary"]


def test_a_build_that_fails_is_the_end(env: dict[str, str]) -> None:
    assert build_sh("r.toml", env={**env, "FAILS": "build", "STATUS": "4"}).returncode == 4
    assert len(calls(env)) == 1


@pytest.mark.parametrize("words", [(), ("a.toml", "b.toml"), ("a", "--sing"), ("a.toml", "-o")])
def test_what_it_does_not_understand(words: tuple[str, ...], env: dict[str, str]) -> None:
    done = build_sh(*words, env=env)
    assert done.returncode == 2
    assert not Path(env["CALLS"]).exists()
