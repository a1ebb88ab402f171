from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ingot.engine.survey import (
    FIRST_BUILD_BYTES,
    CacheFacts,
    CudaFacts,
    Ingredient,
    Machine,
    Survey,
    cache_facts,
    judge,
    machine_facts,
)

FACTS = Survey(
    machine=Machine(
        "linux-x86_64", "Debian", "glibc 2.36", "cpu", 2, ("avx2",), 1 << 30, "3.11.7", "/python"
    ),
    cache=CacheFacts(Path("/cache"), 10, FIRST_BUILD_BYTES, None),
    engine=Ingredient("carrier", "1", cached=True),
    commit="abc",
    tools=(Ingredient("ziglang", "1", cached=True),),
    target="linux-x86_64",
    runtime_key="k" * 64,
    runtime_carried=False,
    runtime_cached=False,
    cuda=CudaFacts(None),
)


def _verdicts(facts: Survey) -> dict[str, bool]:
    return {check.name: check.ok for check in judge(facts)}


def test_a_good_machine_is_ready() -> None:
    assert _verdicts(FACTS) == {
        "python": True,
        "cache": True,
        "runtime": True,
        "GPU modules": True,
    }


def test_too_little_disk_is_a_no_with_a_remedy() -> None:
    poor = replace(FACTS, cache=replace(FACTS.cache, free=FIRST_BUILD_BYTES - 1))
    check = next(check for check in judge(poor) if check.name == "cache")
    assert not check.ok
    assert "INGOT_CACHE" in (check.remedy or "")


def test_little_disk_is_enough_once_the_runtime_is_there() -> None:
    poor = replace(FACTS, cache=replace(FACTS.cache, free=1), runtime_cached=True)
    assert all(_verdicts(poor).values())


def test_a_carried_runtime_needs_neither_tools_nor_room() -> None:
    carried = replace(FACTS, cache=replace(FACTS.cache, free=1), runtime_carried=True)
    assert all(_verdicts(carried).values())
    reasons = {check.name: check.reason for check in judge(carried)}
    assert reasons["runtime"] == "carried for linux-x86_64: nothing is compiled"


def test_an_unwritable_cache_is_a_no() -> None:
    bad = replace(FACTS, cache=replace(FACTS.cache, problem="/cache is not writable"))
    assert not _verdicts(bad)["cache"]


def test_what_must_be_fetched_first_is_named() -> None:
    bare = replace(FACTS, tools=(Ingredient("ziglang", "1", cached=False),))
    check = next(check for check in judge(bare) if check.name == "runtime")
    assert "fetches ziglang" in check.reason


@pytest.mark.parametrize(("answer", "ok"), [("reachable", True), ("ERROR: no route", False)])
def test_the_index_is_judged_only_when_asked(answer: str, ok: bool) -> None:
    assert _verdicts(replace(FACTS, index=answer))["package index"] is ok


def test_the_cache_may_not_exist_yet(tmp_path: Path) -> None:
    facts = cache_facts(tmp_path / "not" / "there")
    assert (facts.used, facts.problem) == (0, None)
    assert facts.free > 0


def test_a_file_in_the_caches_place_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "not a folder" in (cache_facts(tmp_path / "file" / "below").problem or "")


def test_this_machine_has_facts() -> None:
    machine = machine_facts()
    assert machine.cores >= 1
    assert machine.memory > 0
