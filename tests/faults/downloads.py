"""The faults of docs/reference/downloads.md: each made to happen, by a real server, to a build.

``python -m tests.faults`` prints the table as it is now; test_downloads.py compares it with the
document.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.stage import NAME, REPO, Stage, make_stage, message_of
from tests.hub.faults import (
    altered,
    api_status,
    contents,
    cut_after,
    no_ranges,
    random_cuts,
    status,
)
from tests.hub.server import Fault, Hub, Reply, Request


@dataclass(frozen=True)
class Case:
    """A fault, what is done about it, the exit code, and what is set up for it.

    ``after`` says what must be true when the command has ended.
    """

    fault: str
    happens: str
    exit_code: int
    prepare: Callable[[Stage], None]
    after: Callable[[Stage], bool] = lambda _stage: True
    small: bool = True


def faults(*added: Callable[[], Fault]) -> Callable[[Stage], None]:
    return lambda stage: stage.hub.faults.extend(make() for make in added)


def cached(stage: Stage) -> None:
    """An earlier build has fetched the model."""
    assert stage.build().returncode == 0


def on(reference: str, *options: str, **env: str) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        stage.reference, stage.options = reference, options
        stage.env.update(env)

    return prepare


def both(*steps: Callable[[Stage], None]) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        for step in steps:
            step(stage)

    return prepare


def model_is_right(stage: Stage) -> bool:
    return stage.blob.read_bytes() == stage.model.read_bytes() and not partial_is_there(stage)


def partial_is_there(stage: Stage) -> bool:
    return stage.blob.with_name(stage.blob.name + ".incomplete").exists()


def nothing_wrong_is_left(stage: Stage) -> bool:
    return not stage.blob.exists() and not partial_is_there(stage)


def asked(stage: Stage, *expected: str | None) -> bool:
    return [r.headers.get("Range") for r in stage.hub.downloads()] == list(expected)


def half(stage: Stage) -> int:
    return stage.model.stat().st_size // 2


def _cut_half(stage: Stage) -> None:
    stage.hub.faults.append(cut_after(half(stage), times=1))


def _changes_midway(stage: Stage) -> None:
    """Other bytes of the same length under a new ETag, from the second try on."""
    _cut_half(stage)
    other = bytes(stage.model.stat().st_size)

    def change(_request: Request, reply: Reply) -> Reply:
        return replace(reply, status=200, file=None, content=other).with_headers(ETag='"other"')

    stage.hub.faults.append(contents(change))


def _new_etags(stage: Stage) -> None:
    """The same bytes under an ETag that is another one each time."""
    _cut_half(stage)

    def change(request: Request, reply: Reply) -> Reply | None:
        if "If-Range" not in request.headers or reply.file is None:
            return None
        whole = replace(reply, status=200, begin=0, end=reply.file.size)
        return whole.with_headers(ETag='"another"', Content_Range=None)

    stage.hub.faults.append(contents(change))


def _login_page(stage: Stage) -> None:
    page = b"<html>Please log in to this network</html>"
    stage.hub.faults.append(contents(lambda _q, _r: Reply(200, content=page)))


def _shorter(stage: Stage) -> None:
    content = stage.model.read_bytes()[:-10]
    stage.hub.faults.append(contents(lambda _q, r: replace(r, file=None, content=content)))


def _vanished_file(stage: Stage) -> None:
    stage.hub.faults.append(
        lambda q, _r: (
            Reply(404, {"X-Error-Code": "EntryNotFound"}) if "/resolve/" in q.path else None
        )
    )


def _redirect(to: str) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        stage.hub.faults.append(
            lambda q, _r: Reply(302, {"Location": to}) if "/resolve/" in q.path else None
        )

    return prepare


def _redirects_forever(stage: Stage) -> None:
    stage.hub.faults.append(
        lambda q, _r: Reply(302, {"Location": q.path}) if "/resolve/" in q.path else None
    )


def _token(stage: Stage) -> None:
    stage.hub.add(REPO, {NAME: stage.model}, token="hf_right")
    stage.env["HF_TOKEN"] = "hf_right"


def _token_stayed(stage: Stage) -> bool:
    given = {r.host: r.headers.get("Authorization") for r in stage.hub.requests}
    return given == {"hub": "Bearer hf_right", "cdn": None} and model_is_right(stage)


def _repo(name: str, **options: object) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        stage.hub.add(name, {NAME: stage.model}, **options)  # type: ignore[arg-type]
        stage.reference = name

    return prepare


def _nobody(stage: Stage) -> None:
    with Hub() as gone:
        stage.env["HF_ENDPOINT"] = gone.url


def _nonsense(stage: Stage) -> None:
    stage.hub.faults.append(
        lambda q, _r: Reply(200, content=b"<html>") if "/api/" in q.path else None
    )


def _damage_the_cache(stage: Stage) -> None:
    content = bytearray(stage.model.read_bytes())
    content[-1] ^= 1
    stage.blob.write_bytes(content)


def _half_of_a_split(stage: Stage) -> None:
    stage.reference = "org/split-GGUF"
    stage.hub.add(stage.reference, {"big-00001-of-00002.gguf": b"GGUF"})


def _page(stage: Stage) -> None:
    stage.reference = stage.hub.page("tiny.gguf", stage.model)


def _pinned(stage: Stage) -> None:
    stage.reference = stage.hub.page("tiny.gguf", stage.model) + "#sha256=" + "f" * 64


def _archive(stage: Stage) -> None:
    path = stage.folder / "tiny.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.write(stage.model, "tiny.gguf")
    content = bytearray(path.read_bytes())
    content[half(stage)] ^= 1
    stage.reference = stage.hub.page("tiny.zip", bytes(content))


def _untrusted(stage: Stage) -> None:
    stage.env["HF_ENDPOINT"] = stage.hub.url.replace("http:", "https:")


CASES = (
    Case(
        "the connection is lost",
        "continued with Range and If-Range where it broke",
        0,
        _cut_half,
        lambda s: asked(s, None, f"bytes={half(s)}-") and model_is_right(s),
    ),
    Case(
        "the connection is lost 100 times, anywhere, by FIN or RST",
        "the same, 100 times: tries are counted only while nothing new arrives",
        0,
        faults(lambda: random_cuts(100, 200_000)),
        lambda s: len(s.hub.downloads()) == 101 and model_is_right(s),
        small=False,
    ),
    Case(
        "the server falls silent",
        "continued after a minute",
        0,
        faults(
            lambda: contents(lambda _q, r: replace(r, cut=1000, stall=2.0), times=1),
        ),
        model_is_right,
    ),
    Case(
        "the connection is always lost at the same byte",
        "7 tries with growing pauses; what has arrived is kept",
        4,
        both(
            lambda s: s.hub.faults.append(cut_after(1000, times=1)),
            faults(lambda: cut_after(0)),
        ),
        partial_is_there,
    ),
    Case(
        "the server ignores Range and sends everything (200)",
        "what was there is replaced, not appended to",
        0,
        both(_cut_half, faults(no_ranges)),
        model_is_right,
    ),
    Case(
        "killed after the last byte and before the rename",
        "checked and renamed; nothing is asked for",
        0,
        lambda s: s.leave(s.model.read_bytes(), s.validator),
        lambda s: asked(s) and model_is_right(s),
    ),
    Case(
        "nothing after the byte asked for (416)",
        "what was there is dropped and fetched anew",
        0,
        lambda s: s.leave(s.model.read_bytes() + b"more", s.validator),
        lambda s: asked(s, f"bytes={s.model.stat().st_size + 4}-", None) and model_is_right(s),
    ),
    Case(
        "the ETag has changed",
        "fetched anew from the beginning; the sha256 decides",
        0,
        _new_etags,
        model_is_right,
    ),
    Case(
        "the file changed while it was fetched",
        "refused; nothing is left",
        5,
        _changes_midway,
        nothing_wrong_is_left,
    ),
    Case(
        "what an earlier run left is damaged",
        "seen at the end, dropped, and fetched once more",
        0,
        lambda s: s.leave(bytes(1000), s.validator),
        model_is_right,
    ),
    Case(
        "one bit arrives wrong",
        "refused; nothing is left",
        5,
        faults(altered),
        nothing_wrong_is_left,
    ),
    Case("the file on the server is truncated", "refused before it is read", 5, _shorter),
    Case(
        "a login page comes instead of the file",
        "refused before it is read; what was there is kept",
        5,
        both(lambda s: s.leave(s.model.read_bytes()[:1000], s.validator), _login_page),
        partial_is_there,
    ),
    Case("the server is busy (503)", "tried again", 0, faults(lambda: status(503, times=3))),
    Case("the server stays busy", "7 tries with growing pauses", 4, faults(lambda: status(503))),
    Case(
        "too many requests (429), Retry-After: 1",
        "tried again after that time",
        0,
        faults(lambda: status(429, times=1, Retry_After="1")),
    ),
    Case(
        "too many requests, Retry-After: 3600",
        "given up: more than 5 minutes",
        4,
        faults(lambda: api_status(429, Retry_After="3600")),
    ),
    Case(
        "a signed download address has expired (403)",
        "the Hub is asked for a new one",
        0,
        faults(lambda: status(403, times=1)),
        model_is_right,
    ),
    Case(
        "a redirect to another host",
        "followed; the token stays behind",
        0,
        _token,
        _token_stayed,
    ),
    Case("a redirect to something else than http", "refused", 4, _redirect("file:///etc/passwd")),
    Case("redirects without end", "10 are followed", 4, _redirects_forever),
    Case("plain http to another machine", "refused", 4, on("http://mirror.example/tiny.gguf")),
    Case("a certificate that is not trusted", "refused", 4, _untrusted),
    Case("nobody listens", "4 tries", 4, _nobody),
    Case(
        "nobody listens, and the model is in the cache",
        "4 tries; the cache is used only when asked to",
        4,
        both(cached, _nobody),
    ),
    Case(
        "the same, with --offline",
        "the cache is used; nobody is asked",
        0,
        both(cached, _nobody, lambda s: setattr(s, "options", ("--offline",))),
    ),
    Case("--offline, and it is not in the cache", "nobody is asked", 4, on(REPO, "--offline")),
    Case("the listing is no listing", "refused", 4, _nonsense),
    Case(
        "a proxy recodes the content",
        "refused",
        4,
        faults(lambda: contents(lambda _q, r: r.with_headers(Content_Encoding="gzip"))),
    ),
    Case(
        "a URL whose end nobody can tell",
        "refused, unless the sha256 is given",
        4,
        both(_page, faults(lambda: contents(lambda _q, r: replace(r, length=-1)))),
    ),
    Case("a URL with another sha256 than given", "refused; nothing is left", 5, _pinned),
    Case(
        "a URL that leads nowhere (404)", "", 3, lambda s: on(f"{s.hub.cdn_url}/files/none.gguf")(s)
    ),
    Case("no such repository", "", 3, on("org/none")),
    Case("a gated repository, no token", "", 3, _repo("org/gated", token="hf_right", gated=True)),
    Case("the revision has vanished", "", 3, on(f"{REPO}@{'0' * 40}")),
    Case("the file has vanished", "", 3, _vanished_file),
    Case("no such quantisation", "", 3, on(f"{REPO}:Q4KS")),
    Case("a part of a split GGUF is missing", "", 3, _half_of_a_split),
    Case(
        "the file in the cache is damaged",
        "seen by its sha256, and fetched again",
        0,
        both(cached, _damage_the_cache),
        model_is_right,
    ),
    Case(
        "the same, with --offline",
        "refused",
        5,
        both(cached, _damage_the_cache, lambda s: setattr(s, "options", ("--offline",))),
    ),
    Case("a damaged archive", "refused; nothing of it is unpacked", 5, _archive),
)


def run_case(case: Case, folder: Path, certificate: Path | None = None) -> tuple[int, str, bool]:
    """Let it happen: the exit code, the message as the document has it, and what ``after`` says."""
    with Hub(certificate if case.prepare is _untrusted else None) as hub:
        stage = make_stage(hub, folder, small=case.small)
        case.prepare(stage)
        hub.requests.clear()
        done = stage.build()
        return done.returncode, message_of(done.stderr, stage), case.after(stage)


def row(case: Case, exit_code: int, message: str) -> str:
    """One line of the document's table."""
    return f"| {case.fault} | {case.happens or 'refused'} | {exit_code} | {message or 'none'} |"
