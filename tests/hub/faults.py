"""Faults for the Hub on this machine: put them into ``Hub.faults``.

Each concerns contents only (the CDN, and plain files) unless it says otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tests.hub.server import Fault, Reply, Request


def _is_content(request: Request) -> bool:
    return request.host == "cdn" or request.path.startswith("/files/")


def contents(change: Callable[[Request, Reply], Reply | None], times: int | None = None) -> Fault:
    """``change`` for the next ``times`` requests of contents, or all."""
    left = [times]

    def fault(request: Request, reply: Reply) -> Reply | None:
        if not _is_content(request) or left[0] == 0:
            return None
        changed = change(request, reply)
        if changed is not None and left[0] is not None:
            left[0] -= 1
        return changed

    return fault


def cut_after(count: int, *, times: int | None = None, reset: bool = False) -> Fault:
    """The connection breaks after ``count`` bytes of the body."""
    return contents(lambda _request, reply: replace(reply, cut=count, reset=reset), times)


def random_cuts(times: int, most: int, seed: int = 1) -> Fault:
    """The connection breaks at random, by FIN or RST, at most ``most`` bytes into the body."""
    chance = random.Random(seed)

    def change(_request: Request, reply: Reply) -> Reply | None:
        return replace(reply, cut=chance.randint(0, most), reset=chance.random() < 0.5)

    return contents(change, times)


def status(code: int, *, times: int | None = None, **headers: str) -> Fault:
    """Contents are refused with ``code``."""
    return contents(lambda _request, _reply: Reply(code).with_headers(**headers), times)


def api_status(code: int, *, times: int | None = None, **headers: str) -> Fault:
    """The API answers ``code``."""
    left = [times]

    def fault(request: Request, _reply: Reply) -> Reply | None:
        if not request.path.startswith("/api/") or left[0] == 0:
            return None
        if left[0] is not None:
            left[0] -= 1
        return Reply(code).with_headers(**headers)

    return fault


def no_ranges() -> Fault:
    """The server sends everything, whatever part was asked for."""

    def change(_request: Request, reply: Reply) -> Reply | None:
        if reply.status != 206 or reply.file is None:
            return None
        whole = replace(reply, status=200, begin=0, end=reply.file.size)
        return whole.with_headers(Content_Range=None, Accept_Ranges=None)

    return contents(change)


def altered() -> Fault:
    """One bit of what is sent is wrong."""

    def change(_request: Request, reply: Reply) -> Reply | None:
        if not reply.size:
            return None
        data = bytearray(reply.read(0, reply.size))
        data[len(data) // 2] ^= 1
        return replace(reply, content=bytes(data), file=None)

    return contents(change)
