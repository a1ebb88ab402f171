from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Ingot


def test_doctor_prints_facts_and_verdicts(ingot: Ingot, tmp_path: Path) -> None:
    done = ingot("doctor", env={"INGOT_CACHE": str(tmp_path / "cache")})
    assert done.returncode == 0, done.stderr
    assert "llama.cpp 0c1e57098, llama-cpp-python 0.3.36, not fetched yet" in done.stdout
    assert "ok  python:" in done.stdout
    assert not (tmp_path / "cache").exists(), "looking must not create anything"


def test_doctor_json_is_one_document(ingot: Ingot, tmp_path: Path) -> None:
    done = ingot("doctor", "--json", env={"INGOT_CACHE": str(tmp_path / "cache")})
    document = json.loads(done.stdout)
    assert document["ready"] is True
    assert document["cache"]["path"] == str(tmp_path / "cache")
    assert {tool["name"] for tool in document["tools"]} >= {"ziglang", "cmake", "ninja"}
    assert document["runtime_cached"] is False


def test_doctor_says_no_when_the_cache_cannot_be(ingot: Ingot, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = ingot("doctor", env={"INGOT_CACHE": str(tmp_path / "file" / "cache")})
    assert done.returncode == 1
    assert "NO  cache" in done.stdout
    assert "set INGOT_CACHE" in done.stdout


def test_doctor_names_an_index_that_does_not_answer(ingot: Ingot, tmp_path: Path) -> None:
    offline = {
        "INGOT_CACHE": str(tmp_path / "cache"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
    }
    done = ingot("doctor", "--network", env=offline)
    assert done.returncode == 1
    assert "NO  package index: ERROR: No matching distribution" in done.stdout
