"""Resolving and fetching against a Hub on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.console import Console, NullProgress
from ingot.errors import IngotError, InputError, IntegrityError, NetworkError
from ingot.sources import fetch as fetching
from ingot.sources.fetch import Fetched, fetch
from ingot.sources.reference import FileReference, HubReference, UrlReference
from ingot.sources.resolve import resolve
from ingot.sources.settings import Settings
from ingot.sources.web import Web
from tests.hub.faults import altered, contents, cut_after, status
from tests.hub.server import File, Hub, Reply, Request
from tests.unit.sources.conftest import IMPATIENT

REPO = "org/tiny-GGUF"
Q4 = b"GGUF" + random.Random(1).randbytes(50_000)
Q8 = b"GGUF" + random.Random(2).randbytes(90_000)
PROJECTOR = b"GGUF" + random.Random(3).randbytes(20_000)
FILES: dict[str, bytes | Path | File] = {
    "tiny-Q4_K_M.gguf": Q4,
    "tiny-Q8_0.gguf": Q8,
    "README.md": File(b"# tiny", lfs=False),
}


@pytest.fixture
def commit(hub: Hub) -> str:
    return hub.add(REPO, FILES)


def get(web: Web, reference: HubReference | UrlReference | FileReference) -> Fetched:
    return fetch([resolve(reference, web)], web, NullProgress())[0]


def offline(web: Web) -> Web:
    return Web(replace(web.settings, offline=True), IMPATIENT)


def test_resolving_names_everything_that_a_lock_needs(
    hub: Hub, commit: str, web: Web, settings: Settings
) -> None:
    resolved = resolve(HubReference(REPO, quant="q8_0"), web)
    (part,) = resolved.parts
    assert (part.repo, part.revision, part.commit) == (REPO, "main", commit)
    assert (part.name, part.size) == ("tiny-Q8_0.gguf", len(Q8))
    assert part.sha256 == hashlib.sha256(Q8).hexdigest()
    assert part.url == f"{hub.url}/{REPO}/resolve/{commit}/tiny-Q8_0.gguf"
    assert part.local is None
    assert resolved.projector is None
    assert resolved.offers == ("Q4_K_M", "Q8_0")
    assert not settings.hub_cache.exists()
    assert [request.host for request in hub.requests] == ["hub"]


def test_fetched_files_lie_as_every_hub_client_expects(
    hub: Hub, commit: str, web: Web, settings: Settings
) -> None:
    fetched = get(web, HubReference(REPO))
    folder = settings.hub_cache / "models--org--tiny-GGUF"
    sha256 = hashlib.sha256(Q4).hexdigest()
    assert fetched.model == folder / "snapshots" / commit / "tiny-Q4_K_M.gguf"
    assert os.readlink(fetched.model) == f"../../blobs/{sha256}"
    assert fetched.model.read_bytes() == Q4
    assert (folder / "refs" / "main").read_text() == commit
    assert sorted(os.listdir(folder / "blobs")) == [sha256]
    assert fetched.parts[0].sha256 == sha256


def test_nothing_is_fetched_twice(hub: Hub, commit: str, web: Web) -> None:
    get(web, HubReference(REPO))
    resolved = resolve(HubReference(REPO), web)
    assert resolved.parts[0].local is not None
    fetch([resolved], web, NullProgress())
    assert len(hub.downloads()) == 1


def test_the_same_content_at_another_commit_is_not_fetched_again(
    hub: Hub, commit: str, web: Web
) -> None:
    first = get(web, HubReference(REPO))
    newer = hub.add(REPO, {**FILES, "README.md": b"changed"})
    second = get(web, HubReference(REPO))
    assert (commit != newer, first.model != second.model) == (True, True)
    assert second.model.read_bytes() == Q4
    assert len(hub.downloads()) == 1


def test_a_locked_file_needs_no_listing(hub: Hub, commit: str, web: Web) -> None:
    resolved = resolve(HubReference(REPO), web)
    hub.faults.append(lambda request, _reply: Reply(500) if "/api/" in request.path else None)
    assert fetch([resolved], web, NullProgress())[0].model.read_bytes() == Q4


def test_offline_uses_what_is_here_and_asks_nobody(hub: Hub, commit: str, web: Web) -> None:
    get(web, HubReference(REPO, quant="Q8_0"))
    asked = len(hub.requests)
    assert get(offline(web), HubReference(REPO, quant="Q8_0")).model.read_bytes() == Q8
    assert get(offline(web), HubReference(REPO)).model.read_bytes() == Q8
    assert get(offline(web), HubReference(REPO, commit)).model.read_bytes() == Q8
    for missing in (HubReference(REPO, quant="Q4_K_M"), HubReference("org/other")):
        with pytest.raises(NetworkError) as caught:
            get(offline(web), missing)
        assert caught.value.code == "offline"
    assert len(hub.requests) == asked


def test_an_unreachable_hub_points_to_the_cache(hub: Hub, commit: str, web: Web) -> None:
    get(web, HubReference(REPO))
    hub.faults.append(lambda _request, _reply: Reply(503))
    with pytest.raises(NetworkError) as caught:
        resolve(HubReference(REPO), web)
    assert caught.value.code == "server-error"
    assert "--offline uses them" in (caught.value.hint or "")


def test_parts_and_projector_come_together(hub: Hub, web: Web) -> None:
    parts = {f"big-Q4_K_M-{n:05d}-of-00003.gguf": Q4 + bytes([n]) for n in (1, 2, 3)}
    hub.add(REPO, {**parts, "mmproj-big-F16.gguf": PROJECTOR})
    fetched = get(web, HubReference(REPO, quant="Q4_K_M"))
    assert [file.path.name for file in fetched.parts] == sorted(parts)
    assert [file.path.read_bytes() for file in fetched.parts] == [*parts.values()]
    assert len({file.path.parent for file in fetched.parts}) == 1
    assert fetched.projector is not None
    assert fetched.projector.path.read_bytes() == PROJECTOR
    assert resolve(HubReference(REPO), web, projector=False).projector is None


def test_files_outside_of_lfs_are_checked_by_their_git_id(hub: Hub, web: Web) -> None:
    small = File(b"GGUF" + b"x" * 100, lfs=False)
    hub.add(REPO, {"tiny.gguf": small})
    fetched = get(web, HubReference(REPO))
    assert os.readlink(fetched.model).endswith(small.git_id)
    assert fetched.parts[0].sha256 == small.sha256
    assert get(offline(web), HubReference(REPO)).parts[0].sha256 == small.sha256


def test_a_listing_without_hashes_is_completed_from_headers(
    hub: Hub, commit: str, web: Web
) -> None:
    bare = {"sha": commit, "siblings": [{"rfilename": name} for name in FILES]}
    hub.faults.append(api(lambda: bare))
    (part,) = resolve(HubReference(REPO), web).parts
    assert (part.size, part.sha256) == (len(Q4), hashlib.sha256(Q4).hexdigest())
    assert get(web, HubReference(REPO)).model.read_bytes() == Q4


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"sha": "main", "siblings": []},
        {"sha": "0" * 40, "siblings": [{"rfilename": 1}]},
        {"sha": "0" * 40, "siblings": [{"rfilename": "a", "size": -1}]},
        {"sha": "0" * 40, "siblings": [{"rfilename": "a", "lfs": {"sha256": "../x"}}]},
    ],
)
def test_nonsense_is_no_listing(hub: Hub, web: Web, document: object) -> None:
    hub.faults.append(api(lambda: document))
    with pytest.raises(NetworkError) as caught:
        resolve(HubReference(REPO), web)
    assert caught.value.code == "bad-answer"


def test_names_that_lead_elsewhere_are_ignored(hub: Hub, web: Web) -> None:
    evil = [{"rfilename": name, "size": 1} for name in ("../a.gguf", "/a.gguf", "a/../../b.gguf")]
    hub.faults.append(api(lambda: {"sha": "0" * 40, "siblings": evil}))
    with pytest.raises(InputError) as caught:
        resolve(HubReference(REPO), web)
    assert caught.value.code == "no-gguf"


def test_a_blob_that_another_client_left_damaged_is_replaced(
    hub: Hub, commit: str, web: Web
) -> None:
    fetched = get(web, HubReference(REPO))
    fetched.model.resolve().write_bytes(Q4[:-1] + b"x")
    with pytest.raises(IntegrityError) as caught:
        get(offline(web), HubReference(REPO))
    assert caught.value.code == "cached-file-damaged"
    assert get(web, HubReference(REPO)).model.read_bytes() == Q4


def test_a_cache_of_copies_instead_of_links_is_read(hub: Hub, commit: str, web: Web) -> None:
    fetched = get(web, HubReference(REPO))
    fetched.model.unlink()
    fetched.model.write_bytes(Q4)
    get(web, HubReference(REPO))
    assert not fetched.model.is_symlink()
    assert len(hub.downloads()) == 1


@pytest.mark.parametrize(
    ("reference", "token", "code"),
    [
        (HubReference("org/none"), None, "no-such-repository"),
        (HubReference("org/none"), "hf_x", "no-such-repository"),
        (HubReference("org/private"), None, "no-such-repository"),
        (HubReference("org/gated"), None, "access-denied"),
        (HubReference("org/gated"), "hf_wrong", "access-denied"),
        (HubReference(REPO, "v9"), None, "no-such-revision"),
        (HubReference(REPO, quant="Q2_K"), None, "no-such-quant"),
        (HubReference(REPO, file="x.gguf"), None, "no-such-file"),
    ],
)
def test_what_a_hub_refuses(
    hub: Hub, commit: str, settings: Settings, reference: HubReference, token: str | None, code: str
) -> None:
    hub.add("org/private", FILES, token="hf_right")
    hub.add("org/gated", FILES, token="hf_right", gated=True)
    with pytest.raises(InputError) as caught:
        resolve(reference, Web(replace(settings, token=token), IMPATIENT))
    assert caught.value.code == code


def test_a_private_repository_is_read_with_the_token(hub: Hub, settings: Settings) -> None:
    hub.add("org/private", FILES, token="hf_right")
    web = Web(replace(settings, token="hf_right"), IMPATIENT)
    assert get(web, HubReference("org/private")).model.read_bytes() == Q4
    assert "Authorization" not in hub.downloads()[0].headers


def test_a_vanished_file_is_an_input_error(hub: Hub, commit: str, web: Web) -> None:
    resolved = resolve(HubReference(REPO), web)
    del hub.repos[REPO].commits[commit]["tiny-Q4_K_M.gguf"]
    with pytest.raises(InputError) as caught:
        fetch([resolved], web, NullProgress())
    assert caught.value.code == "not-found"


def test_one_failure_ends_the_others(hub: Hub, commit: str, web: Web) -> None:
    both = [resolve(HubReference(REPO, quant=quant), web) for quant in ("Q4_K_M", "Q8_0")]
    wrong = hashlib.sha256(Q4).hexdigest()

    def change(request: Request, reply: Reply) -> Reply:
        if wrong in request.path:
            return Reply(404)
        return replace(reply, cut=10, stall=5.0)

    hub.faults.append(contents(change))
    with pytest.raises(IngotError) as caught:
        fetch(both, web, NullProgress())
    assert caught.value.code == "not-found"


def test_all_files_together_must_have_room(
    hub: Hub, commit: str, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [resolve(HubReference(REPO, quant=quant), web) for quant in ("Q4_K_M", "Q8_0")]
    monkeypatch.setattr(fetching, "free_space", lambda _folder: len(Q8) + 1)
    with pytest.raises(InputError) as caught:
        fetch(both, web, NullProgress())
    assert caught.value.code == "disk-full"
    assert hub.downloads() == []


def test_progress_shows_the_rate(hub: Hub, commit: str, web: Web) -> None:
    stream = io.StringIO()
    hub.faults.append(contents(lambda _q, r: replace(r, cut=1000, stall=0.4), times=1))
    resolved = resolve(HubReference(REPO), web)
    fetch([resolved], web, Console(stream, plain_seconds=0.05))
    assert "Fetching tiny-Q4_K_M.gguf" in stream.getvalue()
    assert "of 50.0 kB" in stream.getvalue()
    assert "/s" in stream.getvalue()


def test_a_url(hub: Hub, web: Web) -> None:
    url = hub.page("one.gguf", Q4)
    fetched = get(web, UrlReference(url))
    assert fetched.model.name == "one.gguf"
    assert fetched.model.read_bytes() == Q4
    assert fetched.parts[0].source.sha256 == hashlib.sha256(Q4).hexdigest()
    assert get(web, UrlReference(url)).model == fetched.model
    assert [r.headers["Range"] for r in hub.downloads()] == ["bytes=0-0", None, "bytes=0-0"]
    assert get(offline(web), UrlReference(url)).model == fetched.model


def test_a_url_that_has_changed_is_fetched_again(hub: Hub, web: Web) -> None:
    url = hub.page("one.gguf", Q4)
    get(web, UrlReference(url))
    hub.page("one.gguf", Q8)
    assert get(web, UrlReference(url)).model.read_bytes() == Q8


def test_a_url_with_its_hash_is_asked_for_once(hub: Hub, web: Web) -> None:
    reference = UrlReference(hub.page("one.gguf", Q4), hashlib.sha256(Q4).hexdigest())
    get(web, reference)
    asked = len(hub.requests)
    get(web, reference)
    assert len(hub.requests) == asked
    with pytest.raises(IntegrityError) as caught:
        get(web, replace(reference, sha256="0" * 64))
    assert caught.value.code == "hash-mismatch"


def test_the_parts_of_a_split_url(hub: Hub, web: Web) -> None:
    for number in (1, 2):
        url = hub.page(f"big-{number:05d}-of-00002.gguf", Q4 + bytes([number]))
    fetched = get(web, UrlReference(url))
    assert [file.path.read_bytes()[-1] for file in fetched.parts] == [1, 2]
    assert len({file.path.parent for file in fetched.parts}) == 1


@pytest.mark.parametrize(("code", "error"), [(404, "not-found"), (403, "access-denied")])
def test_a_url_that_is_refused(hub: Hub, web: Web, code: int, error: str) -> None:
    hub.faults.append(status(code))
    with pytest.raises(InputError) as caught:
        get(web, UrlReference(hub.page("one.gguf", Q4)))
    assert caught.value.code == error


def test_the_hubs_token_is_no_remedy_elsewhere(hub: Hub, settings: Settings) -> None:
    hub.faults.append(status(401))
    elsewhere = Web(replace(settings, endpoint="https://hub.invalid"))
    with pytest.raises(InputError) as caught:
        get(elsewhere, UrlReference(hub.page("one.gguf", Q4)))
    assert caught.value.code == "access-denied" and caught.value.hint
    assert "HF_TOKEN" not in caught.value.hint


def test_a_path_stays_where_it_is(tmp_path: Path, web: Web) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(Q4)
    fetched = get(web, FileReference(path))
    assert (fetched.model, fetched.parts[0].sha256) == (path, None)


def test_two_processes_fetch_once(hub: Hub, commit: str, web: Web, settings: Settings) -> None:
    hub.faults.append(cut_after(5_000, times=8))
    program = (
        "import sys; from pathlib import Path\n"
        "from ingot.console import NullProgress\n"
        "from ingot.sources.fetch import fetch\n"
        "from ingot.sources.reference import HubReference\n"
        "from ingot.sources.resolve import resolve\n"
        "from ingot.sources.retry import Patience\n"
        "from ingot.sources.settings import Settings\n"
        "from ingot.sources.web import Web\n"
        "web = Web(Settings(Path(sys.argv[1]), sys.argv[2]), Patience(first_pause=0.05))\n"
        f"resolved = resolve(HubReference({REPO!r}), web)\n"
        "print(fetch([resolved], web, NullProgress())[0].model)\n"
    )
    argv = [sys.executable, "-P", "-c", program, str(settings.hub_cache), hub.url]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    places = {process.communicate(timeout=60)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert Path(places.pop()).read_bytes() == Q4
    assert not places
    assert len(hub.downloads()) == 9


def test_a_cancelled_thread_does_not_wait(hub: Hub, commit: str, web: Web) -> None:
    cancelled = threading.Event()
    cancelled.set()
    from ingot.sources.retry import Cancelled

    with pytest.raises(Cancelled):
        resolve(HubReference(REPO), web.another(cancelled))


def test_a_cache_that_cannot_be_written_is_named(
    hub: Hub, commit: str, web: Web, settings: Settings
) -> None:
    settings.hub_cache.parent.mkdir(parents=True)
    settings.hub_cache.write_text("a file")
    with pytest.raises(InputError) as caught:
        get(web, HubReference(REPO))
    assert caught.value.code == "unwritable-folder"
    assert "HF_HUB_CACHE" in (caught.value.hint or "")


def test_a_damaged_download_leaves_no_file(
    hub: Hub, commit: str, web: Web, settings: Settings
) -> None:
    hub.faults.append(altered())
    with pytest.raises(IntegrityError):
        get(web, HubReference(REPO))
    left = [p for p in settings.hub_cache.rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert left == []


def api(document: Callable[[], object]) -> Callable[[Request, Reply], Reply | None]:
    def fault(request: Request, _reply: Reply) -> Reply | None:
        if not request.path.startswith("/api/"):
            return None
        return Reply(200, content=json.dumps(document()).encode())

    return fault
