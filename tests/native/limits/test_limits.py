"""What a process may use, and which values are taken: the pure parts, every case."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.native.compiled import RUNTIME, compiled

Ask = Callable[[str, object], object]

UNITS = ("limits/cgroups", "limits/cpus", "limits/memory", "engine/ranges", "engine/context_size")


@pytest.fixture(scope="module")
def ask(engine_source: Path) -> Ask:
    units = [*UNITS, "printable"]
    sources = [Path(__file__).with_name("driver.cc"), *(RUNTIME / f"{unit}.cc" for unit in units)]
    headers = [RUNTIME / f"{unit}.h" for unit in units if unit != "engine/context_size"]
    headers += [RUNTIME / "engine/memory_fit.h", RUNTIME / "limits/limits.h"]
    program = compiled("limits-driver", sources, headers, [f"-I{engine_source}/vendor"])

    def run(what: str, question: object) -> object:
        text = json.dumps([what, question])
        done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
        answer: object = json.loads(done.stdout)
        return answer

    return run


@pytest.mark.parametrize(
    ("question", "threads"),
    [
        ({"allowed": "0-7"}, 8),
        ({"allowed": "3"}, 1),
        ({"allowed": "0-7", "siblings": ["0-1", "2-3", "4-5", "6-7"]}, 4),
        # One hardware thread of each of two cores, and a core of which nothing may be used.
        ({"allowed": "0,5", "siblings": ["0-1", "2-3", "4-5"]}, 2),
        ({"allowed": "0-7", "cpu.max": "max 100000"}, 8),
        ({"allowed": "0-7", "cpu.max": "50000 100000"}, 1),
        ({"allowed": "0-7", "cpu.max": "250000 100000"}, 2),
        ({"allowed": "0-1", "cpu.max": "800000 100000"}, 2),
        ({"allowed": "0-7", "cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, 8),
        ({"allowed": "0-7", "cpu.cfs_quota_us": "300000", "cpu.cfs_period_us": "100000"}, 3),
        ({"allowed": "0-7", "cpu.max": ""}, 8),
        ({"allowed": "0-7", "cpu.max": "nonsense"}, 8),
    ],
)
def test_threads_are_cores_that_may_be_used(ask: Ask, question: object, threads: int) -> None:
    assert ask("threads", question) == threads


V1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
V2 = "41 31 0:38 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("cgroup", "mountinfo", "folders"),
    [
        ("0::/a/b\n", V2, [[2, "/sys/fs/cgroup/a/b"], [2, "/sys/fs/cgroup/a"]]),
        ("0::/\n", V2, []),
        ("4:cpuacct,cpu:/job\n0::/\n", V1, [[1, "/sys/fs/cgroup/cpu/job"]]),
        # Docker without a namespace of control groups: the group is what is mounted.
        ("0::/docker/1\n", V2.replace(" / ", " /docker/1 ", 1), []),
        ("0::/docker/1/x\n", V2.replace(" / ", " /docker/1 ", 1), [[2, "/sys/fs/cgroup/x"]]),
        # A group outside of what is mounted here.
        ("0::/../other\n", V2, []),
        ("4:cpu:/a\n", V1.replace("/sys/fs/cgroup/cpu", "/a\\040b"), [[1, "/a b/a"]]),
        ("5:memory:/a\n", V1, None),
        ("", "", None),
    ],
)
def test_every_group_up_to_the_mount_counts(
    ask: Ask, cgroup: str, mountinfo: str, folders: list[list[object]] | None
) -> None:
    question = {"cgroup": cgroup, "mountinfo": mountinfo, "controller": "cpu"}
    top = [1, "/sys/fs/cgroup/cpu"] if mountinfo.startswith("32") else [2, "/sys/fs/cgroup"]
    if "040" in mountinfo:
        top = [1, "/a b"]
    assert ask("groups", question) == ([] if folders is None else [*folders, top])


STAT_V1 = "cache 9\nactive_file 1\ntotal_active_file 30\ntotal_inactive_file 40\n"
STAT_V2 = "anon 5\nactive_file 30\ninactive_file 40\n"


@pytest.mark.parametrize("stat", [STAT_V1, STAT_V2])
def test_pages_of_files_are_room(ask: Ask, stat: str) -> None:
    assert ask("room", ["200", 100, stat]) == 170
    assert ask("room", ["50", 100, ""]) == 0
    unlimited = 2**64 - 1
    assert ask("room", ["max\n", 100, stat]) == unlimited
    assert ask("room", ["9223372036854771712\n", 100, stat]) == unlimited


MB = 1_000_000


def test_a_context_is_chosen_that_memory_can_hold(ask: Ask) -> None:
    smol = {"base": 20 * MB, "each": 23040, "mapped": 98 * MB, "whole": 8192}
    roomy = ask("context", {**smol, "room": 900 * MB})
    assert isinstance(roomy, dict) and roomy["fits"] and not roomy["cannot"]
    tight = ask("context", {**smol, "room": 190 * MB})
    assert isinstance(tight, dict) and not tight["fits"] and tight["cannot"]
    assert 1024 <= tight["context"] <= 3072 and tight["context"] % 256 == 0
    # Swap saves a user's own wish from being refused, and is not planned with.
    swapped = ask("context", {**smol, "room": 190 * MB, "swap": 200 * MB})
    assert isinstance(swapped, dict) and not swapped["cannot"]
    assert swapped["context"] == tight["context"]
    # A small model starts with little more than its own buffers.
    small = {"base": 2 * MB, "each": 100, "mapped": 14 * MB, "whole": 256}
    tiny = ask("context", {**small, "room": 24 * MB})
    assert isinstance(tiny, dict) and not tiny["cannot"]
    hopeless = ask("context", {**smol, "room": 10 * MB})
    assert isinstance(hopeless, dict) and hopeless["context"] == 256


@pytest.mark.parametrize(
    ("option", "text", "whole", "problem"),
    [
        ("-b", "0", True, "takes a whole number that is at least 1, not '0'"),
        ("-np", "0", True, "takes a whole number from 1 to 256, not '0'"),
        ("-np", "256", True, ""),
        ("--mirostat", "5", True, "takes a whole number from 0 to 2, not '5'"),
        ("-t", "9999999999", True, "takes a whole number from -1 to 512, not '9999999999'"),
        ("-c", "12abc", True, "takes a whole number that is at least 0, not '12abc'"),
        ("-c", "", True, "takes a whole number that is at least 0, not ''"),
        ("-ngl", "all", False, ""),
        ("-ngl", "x", False, "takes a whole number that is at least -1 or auto or all, not 'x'"),
        ("--temp", "nan", False, "takes a number that is at least 0, not 'nan'"),
        ("--temp", "inf", False, "takes a number that is at least 0, not 'inf'"),
        ("--temp", "7e-1", False, ""),
        ("--top-p", "1.5", False, "takes a number from 0 to 1, not '1.5'"),
        # No range is known: what an int holds, and nothing for texts.
        ("--junk", "3000000000", True, "takes a whole number, not '3000000000'"),
        ("--grammar", "root ::= x", False, ""),
    ],
)
def test_ranges_of_the_engines_options(
    ask: Ask, option: str, text: str, whole: bool, problem: str
) -> None:
    assert ask("range", [option, text, whole]) == problem


def test_ranges_of_llama_bench_are_those_of_each_item(ask: Ask) -> None:
    for good in (["-b", "512,1024"], ["-t", "1-8"], ["-t", "1-8+2"], ["-fa", "x"], ["-n", "0"]):
        assert ask("bench range", good) == "", good
    for option, text, item in (("-b", "512,0", "0"), ("-t", "0-8", "0"), ("-r", "", "")):
        answer = ask("bench range", [option, text])
        assert isinstance(answer, str) and answer.endswith(f"not '{item}'"), answer


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünï中文😀", "plain ünï中文😀"),
        ("bad\x1b[31mred\nline2\t", "bad\\x1b[31mred\\nline2\\t"),
        ("c1 \x9b31m del \x7f", "c1 \\x9b31m del \\x7f"),
        ("bidi \u202e\u2066 hidden \u200b\ufeff", "bidi \\u202e\\u2066 hidden \\u200b\\ufeff"),
        ("tag \U000e0041", "tag \\U000e0041"),
    ],
)
def test_what_moves_a_cursor_or_hides_is_escaped(ask: Ask, text: str, shown: str) -> None:
    assert ask("printable", text) == shown
