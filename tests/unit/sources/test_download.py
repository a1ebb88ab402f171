from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.console import NullProgress, Step
from ingot.errors import InputError, IntegrityError, NetworkError
from ingot.sources import partial
from ingot.sources.download import Download, Stored, download
from ingot.sources.settings import Settings
from ingot.sources.web import Web
from tests.hub.faults import (
    altered,
    contents,
    cut_after,
    no_ranges,
    random_cuts,
    status,
)
from tests.hub.server import Hub, Reply, Request
from tests.unit.sources.conftest import IMPATIENT

CONTENT = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def step() -> Iterator[Step]:
    with NullProgress().step("x") as silent:
        yield silent


@pytest.fixture
def job(hub: Hub, tmp_path: Path) -> Download:
    url = hub.page("model.gguf", CONTENT)
    return Download(url, tmp_path / "in" / "model.gguf", "model.gguf", len(CONTENT), SHA256)


def check(stored: Stored, job: Download) -> None:
    assert job.target.read_bytes() == CONTENT
    assert (stored.size, stored.sha256) == (len(CONTENT), SHA256)
    assert [path.name for path in job.target.parent.iterdir()] == ["model.gguf"]


def ranges(hub: Hub) -> list[str | None]:
    return [request.headers.get("Range") for request in hub.requests]


def test_a_file_arrives_whole_under_its_name(job: Download, web: Web, step: Step) -> None:
    check(download(job, web, step), job)
    assert job.target.stat().st_mode & 0o444 == 0o444


def test_without_any_promise_the_hash_is_what_arrived(job: Download, web: Web, step: Step) -> None:
    check(download(replace(job, size=None, sha256=None), web, step), job)


def test_a_lost_connection_is_continued_where_it_broke(
    hub: Hub, job: Download, web: Web, step: Step
) -> None:
    hub.faults.append(cut_after(70_000, times=2))
    check(download(job, web, step), job)
    assert ranges(hub) == [None, "bytes=70000-", "bytes=140000-"]
    assert hub.requests[1].headers["If-Range"] == f'"{SHA256[:20]}"'


def test_a_hundred_random_disconnects_end_in_the_right_file(
    hub: Hub, job: Download, web: Web, step: Step
) -> None:
    hub.faults.append(random_cuts(100, 5_000))
    check(download(job, web, step), job)
    assert len(hub.requests) == 101


def test_a_killed_download_is_continued_by_the_next_run(
    hub: Hub, job: Download, web: Web, step: Step
) -> None:
    hub.faults.append(cut_after(100_000, times=1))
    hub.faults.append(status(403))
    with pytest.raises(InputError):
        download(job, web, step)
    assert job.target.with_name("model.gguf.incomplete").stat().st_size == 100_000
    hub.faults.clear()
    check(download(job, web, step), job)
    assert ranges(hub)[-1] == "bytes=100000-"


def test_a_complete_partial_file_is_not_asked_for_again(
    hub: Hub, job: Download, web: Web, step: Step
) -> None:
    leave(job, CONTENT, {"validator": '"x"', "total": None})
    check(download(job, web, step), job)
    assert hub.requests == []


def test_416_at_the_end_means_complete(hub: Hub, job: Download, web: Web, step: Step) -> None:
    leave(job, CONTENT, {"validator": f'"{SHA256[:20]}"', "total": None})
    check(download(replace(job, size=None), web, step), job)
    assert ranges(hub) == ["bytes=300000-"]


def test_416_elsewhere_begins_anew(hub: Hub, job: Download, web: Web, step: Step) -> None:
    leave(job, CONTENT + b"more", {"validator": f'"{SHA256[:20]}"', "total": None})
    check(download(replace(job, size=None), web, step), job)
    assert ranges(hub) == ["bytes=300004-", None]


def test_a_changed_etag_begins_anew(hub: Hub, job: Download, web: Web, step: Step) -> None:
    leave(job, b"old" * 1000, {"validator": '"old"', "total": 300_000})
    check(download(job, web, step), job)
    assert hub.requests[0].headers["If-Range"] == '"old"'
    assert len(hub.requests) == 1  # the server answered 200 with all of it


def test_a_server_that_ignores_if_range_is_not_trusted(
    hub: Hub, job: Download, web: Web, step: Step
) -> None:
    leave(job, b"old" * 1000, {"validator": '"old"', "total": 300_000})

    def ignore(request: Request, reply: Reply) -> Reply | None:
        if request.headers.get("Range") is None:
            return None
        part = replace(reply, status=206, begin=3000)
        return part.with_headers(Content_Range="bytes 3000-299999/300000")

    hub.faults.append(contents(ignore))
    check(download(job, web, step), job)
    assert ranges(hub) == ["bytes=3000-", None]


def test_a_wrong_partial_file_costs_one_more_download(
    hub: Hub, job: Download, web: Web, step: Step
) -> None:
    leave(job, b"x" * 1000, {"validator": f'"{SHA256[:20]}"', "total": 300_000})
    check(download(job, web, step), job)
    assert ranges(hub) == ["bytes=1000-", None]


def test_a_200_replaces_what_is_there(hub: Hub, job: Download, web: Web, step: Step) -> None:
    hub.faults += [no_ranges()]
    leave(job, CONTENT[:1000], {"validator": f'"{SHA256[:20]}"', "total": 300_000})
    check(download(job, web, step), job)


def test_a_server_that_always_begins_anew_and_breaks_is_given_up(
    hub: Hub, job: Download, web: Web, step: Step
) -> None:
    def change(_request: Request, reply: Reply) -> Reply:
        assert reply.file is not None
        return replace(reply, status=200, begin=0, end=reply.file.size, cut=1000)

    hub.faults.append(contents(change))
    with pytest.raises(NetworkError) as caught:
        download(job, web, step)
    assert caught.value.code == "connection-lost"
    assert len(hub.requests) == 5


def test_a_wrong_hash_leaves_nothing(hub: Hub, job: Download, web: Web, step: Step) -> None:
    hub.faults.append(altered())
    with pytest.raises(IntegrityError) as caught:
        download(job, web, step)
    assert caught.value.code == "hash-mismatch"
    assert SHA256 in caught.value.message
    assert list(job.target.parent.iterdir()) == []


def test_a_git_id_is_checked_where_there_is_no_sha256(job: Download, web: Web, step: Step) -> None:
    right = hashlib.sha1(b"blob 300000\0" + CONTENT).hexdigest()
    check(download(replace(job, sha256=None, git_id=right), web, step), job)
    with pytest.raises(IntegrityError) as caught:
        download(replace(job, sha256=None, git_id="0" * 40), web, step)
    assert caught.value.code == "hash-mismatch"


def test_another_size_is_seen_before_anything_is_read_and_keeps_what_is_there(
    hub: Hub, job: Download, web: Web, step: Step
) -> None:
    leave(job, CONTENT[:1000], {"validator": '"other"', "total": 300_000})
    hub.page("model.gguf", b"<html>Please log in</html>")
    with pytest.raises(IntegrityError) as caught:
        download(job, web, step)
    assert caught.value.code == "size-mismatch"
    assert job.target.with_name("model.gguf.incomplete").read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(
    hub: Hub, job: Download, web: Web, step: Step, code: int
) -> None:
    hub.faults.append(status(code, times=2))
    check(download(job, web, step), job)


def test_retry_after_is_honoured(hub: Hub, job: Download, settings: Settings, step: Step) -> None:
    slept: list[float] = []
    web = Web(settings, replace(IMPATIENT, sleep=slept.append))
    hub.faults.append(status(429, times=1, Retry_After="7"))
    check(download(job, web, step), job)
    assert slept == [7.0]


def test_pauses_grow_and_vary(hub: Hub, job: Download, settings: Settings, step: Step) -> None:
    slept: list[float] = []
    patience = replace(
        IMPATIENT, first_pause=1.0, longest_pause=3.0, sleep=slept.append, jitter=lambda: 0.5
    )
    hub.faults.append(status(503))
    with pytest.raises(NetworkError) as caught:
        download(job, Web(settings, patience), step)
    assert caught.value.code == "server-error"
    assert slept == [0.75, 1.5, 2.25, 2.25]


def test_silence_is_not_waited_for(hub: Hub, job: Download, web: Web, step: Step) -> None:
    hub.faults.append(contents(lambda _q, reply: replace(reply, cut=50_000, stall=2.0), times=1))
    check(download(job, web, step), job)
    assert ranges(hub) == [None, "bytes=50000-"]


def test_chunks_need_no_length(hub: Hub, job: Download, web: Web, step: Step) -> None:
    hub.faults.append(contents(lambda _q, reply: replace(reply, chunked=True)))
    check(download(replace(job, size=None, sha256=None), web, step), job)


def test_broken_chunks_are_noticed(hub: Hub, job: Download, web: Web, step: Step) -> None:
    hub.faults.append(contents(lambda _q, r: replace(r, chunked=True, cut=200_000), times=1))
    check(download(replace(job, size=None, sha256=None), web, step), job)
    assert len(hub.requests) == 2


def test_an_unknown_end_is_refused_unless_the_hash_is_known(
    hub: Hub, job: Download, web: Web, step: Step
) -> None:
    hub.faults.append(contents(lambda _q, reply: replace(reply, length=-1)))
    with pytest.raises(NetworkError) as caught:
        download(replace(job, size=None, sha256=None), web, step)
    assert caught.value.code == "no-length"
    check(download(replace(job, size=None), web, step), job)


def test_recoded_content_is_refused(hub: Hub, job: Download, web: Web, step: Step) -> None:
    hub.faults.append(contents(lambda _q, reply: reply.with_headers(Content_Encoding="gzip")))
    with pytest.raises(NetworkError) as caught:
        download(job, web, step)
    assert caught.value.code == "recoded"


def test_a_full_disk_is_seen_before_the_first_byte(
    job: Download, web: Web, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial, "free_space", lambda _folder: 299_999)
    with pytest.raises(InputError) as caught:
        download(job, web, step)
    assert caught.value.code == "disk-full"
    assert "300000 bytes are needed, 299999 are available" in caught.value.message
    assert job.target.with_name("model.gguf.incomplete").stat().st_size == 0


def test_two_at_once_fetch_one_after_the_other(
    hub: Hub, job: Download, settings: Settings, step: Step
) -> None:
    hub.faults.append(cut_after(20_000, times=20))

    def run() -> None:
        download(job, Web(settings, IMPATIENT), step)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert job.target.read_bytes() == CONTENT


def leave(job: Download, content: bytes, note: dict[str, object]) -> None:
    """What an earlier run left."""
    job.target.parent.mkdir(parents=True)
    job.target.with_name("model.gguf.incomplete").write_bytes(content)
    job.target.with_name("model.gguf.incomplete.json").write_text(json.dumps(note))
