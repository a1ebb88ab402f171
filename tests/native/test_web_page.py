"""The web page: packed for those who take gzip, as it is for everybody else."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.serving import announced


@pytest.fixture(scope="module")
def url(hello: Path) -> Iterator[str]:
    with announced(hello, "serve", "--port", "0", "-t", "1") as server:
        yield server.url


def fetch(url: str, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """The answer and its body, with these headers and no others but Host."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.5"])
def test_who_takes_gzip_gets_it(accepted: str, url: str) -> None:
    answer, body = fetch(url, "/", Accept_Encoding=accepted)
    assert answer.status == 200 and answer.headers["Content-Encoding"] == "gzip"
    assert b"<html" in gzip.decompress(body)
    assert "Accept-Encoding" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "accepted",
    [None, "identity", "gzip;q=0", "gzip; q=0.0, br", "gzip;Q=0", "GZIP", "br", "*", "notgzip", ""],
)
def test_everybody_else_gets_it_unpacked(accepted: str | None, url: str) -> None:
    answer, body = fetch(url, "/", **({} if accepted is None else {"Accept_Encoding": accepted}))
    assert answer.status == 200
    assert answer.headers["Content-Encoding"] is None
    assert b"<html" in body
    _, packed = fetch(url, "/", Accept_Encoding="gzip")
    assert gzip.decompress(packed) == body


def test_every_asset_has_both_forms(url: str) -> None:
    _, page = fetch(url, "/")
    names = {part.split(b'"')[0].decode() for part in page.split(b'href="./')[1:]}
    assert names
    for name in names:
        packed, body = fetch(url, f"/{name}", Accept_Encoding="gzip")
        plain, unpacked = fetch(url, f"/{name}")
        assert (packed.status, plain.status) == (200, 200), name
        assert gzip.decompress(body) == unpacked, name


def test_a_form_that_the_client_has_is_not_sent_again(url: str) -> None:
    tags = []
    for accepted in ("gzip", "identity"):
        answer, _ = fetch(url, "/", Accept_Encoding=accepted)
        tags.append(answer.headers["ETag"])
        again, body = fetch(url, "/", Accept_Encoding=accepted, If_None_Match=tags[-1])
        assert (again.status, body) == (304, b"")
    assert tags[0] != tags[1]
