from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.errors import NetworkError
from ingot.sources.address import next_address, shown
from ingot.sources.retry import Refused, Transient
from ingot.sources.settings import Settings
from ingot.sources.web import Web
from tests.hub.faults import api_status
from tests.hub.server import Hub, Reply, Request
from tests.unit.sources.conftest import IMPATIENT

TOKEN = "hf_secret"


@pytest.fixture
def known(settings: Settings) -> Web:
    """A client with a token."""
    return Web(replace(settings, token=TOKEN), IMPATIENT)


def authorisations(hub: Hub) -> list[tuple[str, str | None]]:
    return [(request.host, request.headers.get("Authorization")) for request in hub.requests]


def get(web: Web, url: str) -> bytes:
    with web.get(url) as answer:
        return b"".join(answer.chunks())


def redirect(hub: Hub, to: str, times: int = 1) -> None:
    left = [times]

    def fault(request: Request, _reply: Reply) -> Reply | None:
        if request.host != "hub" or not left[0]:
            return None
        left[0] -= 1
        return Reply(302, {"Location": to})

    hub.faults.append(fault)


def test_the_token_goes_to_the_hub_and_not_to_where_it_redirects(hub: Hub, known: Web) -> None:
    commit = hub.add("org/m", {"m.gguf": b"GGUF"})
    assert get(known, f"{hub.url}/org/m/resolve/{commit}/m.gguf") == b"GGUF"
    assert authorisations(hub) == [("hub", f"Bearer {TOKEN}"), ("cdn", None)]


def test_the_token_does_not_go_to_another_port_of_the_same_host(hub: Hub, known: Web) -> None:
    with Hub() as other:
        other.page("x", b"x")
        page = f"{other.url}/files/x"
        assert get(known, page) == b"x"
        redirect(hub, page)
        assert get(known, f"{hub.url}/files/y") == b"x"
        assert authorisations(other) == [("hub", None), ("hub", None)]


def test_the_token_goes_along_when_the_hub_redirects_to_itself(hub: Hub, known: Web) -> None:
    hub.page("new", b"x")
    redirect(hub, "/files/new")
    assert get(known, f"{hub.url}/files/old") == b"x"
    assert authorisations(hub) == [("hub", f"Bearer {TOKEN}")] * 2


def test_netrc_is_not_used(
    hub: Hub, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.2 login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    get(web, hub.page("x", b"x"))
    assert authorisations(hub) == [("cdn", None)]


def test_cookies_are_not_kept(hub: Hub, web: Web) -> None:
    url = hub.page("x", b"x")
    hub.faults.append(lambda _request, reply: reply.with_headers(Set_Cookie="a=b"))
    get(web, url)
    get(web, url)
    assert [request.headers.get("Cookie") for request in hub.requests] == [None, None]


def test_plain_http_is_for_this_machine_the_endpoint_and_known_hashes(settings: Settings) -> None:
    web = Web(settings, IMPATIENT)
    with pytest.raises(NetworkError) as caught, web.get("http://mirror.example/m.gguf"):
        pass
    assert caught.value.code == "insecure"
    patience = replace(IMPATIENT, connect=0.2, first_contacts=1)
    for url, pinned, endpoint in (
        ("http://192.0.2.1/m.gguf", True, settings.endpoint),
        ("http://192.0.2.1/m.gguf", False, "http://192.0.2.1"),
    ):
        other = Web(replace(settings, endpoint=endpoint), patience)
        with pytest.raises(Transient), other.get(url, pinned=pinned):
            pass


def test_the_token_is_not_sent_over_plain_http_to_another_machine(settings: Settings) -> None:
    web = Web(replace(settings, endpoint="http://192.0.2.1", token=TOKEN), IMPATIENT)
    assert not web.may_have_token("http://192.0.2.1/x")
    https = Web(replace(settings, endpoint="https://hub.example", token=TOKEN), IMPATIENT)
    assert https.may_have_token("https://hub.example:443/x")
    assert not https.may_have_token("https://hub.example:8443/x")
    assert not https.may_have_token("http://hub.example/x")
    assert not https.may_have_token("https://evil-hub.example/x")


@pytest.mark.parametrize(
    ("here", "location", "code"),
    [
        ("https://a/x", "http://b/y", "insecure"),
        ("https://a/x", "http://127.0.0.1/y", "insecure"),
        ("https://a/x", "https://localhost/y", "insecure"),
        ("https://a/x", "https://[::1]:9/y", "insecure"),
        ("https://a/x", "file:///etc/passwd", "bad-redirect"),
        ("https://a/x", "", "bad-redirect"),
        ("https://a/x", None, "bad-redirect"),
        ("https://a/x", "https://b:x/", "bad-redirect"),
    ],
)
def test_redirects_that_are_not_followed(here: str, location: str | None, code: str) -> None:
    with pytest.raises(NetworkError) as caught:
        next_address(here, location)
    assert caught.value.code == code


def test_redirects_that_are() -> None:
    assert next_address("https://a/x/y", "../z?q=1") == "https://a/z?q=1"
    assert next_address("http://a/x", "https://b/y") == "https://b/y"
    assert next_address("http://127.0.0.1/x", "http://127.0.0.2/y") == "http://127.0.0.2/y"


def test_redirects_end(hub: Hub, web: Web) -> None:
    redirect(hub, "/files/x", times=1000)
    with pytest.raises(NetworkError) as caught:
        get(web, f"{hub.url}/files/x")
    assert caught.value.code == "bad-redirect"
    assert len(hub.requests) == 11


def test_an_expired_download_address_is_asked_for_again(hub: Hub, web: Web) -> None:
    commit = hub.add("org/m", {"m.gguf": b"GGUF"})
    hub.faults.append(lambda request, _reply: Reply(403) if request.host == "cdn" else None)
    with pytest.raises(Transient):
        get(web, f"{hub.url}/org/m/resolve/{commit}/m.gguf")


def test_what_is_refused_says_the_hubs_word(hub: Hub, web: Web) -> None:
    with pytest.raises(Refused) as caught:
        get(web, f"{hub.url}/org/none/resolve/main/m.gguf")
    assert (caught.value.status, caught.value.word) == (401, "RepoNotFound")


def test_a_document_is_asked_for_until_it_comes(hub: Hub, web: Web) -> None:
    hub.add("org/m", {})
    hub.faults.append(api_status(503, times=3))
    assert b'"sha"' in web.document(f"{hub.url}/api/models/org/m/revision/main")


def test_a_document_without_end_is_refused(
    hub: Hub, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingot.sources.web.MAX_DOCUMENT", 10)
    with pytest.raises(NetworkError) as caught:
        web.document(hub.page("x", b"x" * 11))
    assert caught.value.code == "bad-answer"


@pytest.fixture
def closed_port() -> Iterator[str]:
    with Hub() as gone:
        url = gone.url
    yield url


def test_nobody_there_is_given_up_soon(closed_port: str, web: Web) -> None:
    with pytest.raises(NetworkError) as caught:
        web.document(f"{closed_port}/x")
    assert caught.value.code == "unreachable"
    assert "127.0.0.1 refuses the connection; 4 tries in a row failed" in caught.value.message


def test_an_address_is_shown_without_secrets() -> None:
    assert shown("https://u:p@host:8/a?sig=secret#f") == "https://host:8/a"
