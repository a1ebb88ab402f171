"""Web addresses: how they are shown, compared, and followed."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urljoin, urlsplit

from ingot.errors import NetworkError


def shown(url: str) -> str:
    """``url`` for messages, without what may be secret: user, query, fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def origin(parts: SplitResult) -> tuple[str, str, int]:
    """Scheme, host and port, as the web compares them (RFC 6454)."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or "").lower(), port


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses have the same scheme, host and port."""
    return origin(urlsplit(one)) == origin(urlsplit(other))


def is_local(parts: SplitResult) -> bool:
    """Whether the host is this machine by its name or number; names are not looked up."""
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def next_address(place: str, location: str | None) -> str:
    """Where a redirect from ``place`` leads. Raises NetworkError ``bad-redirect``, ``insecure``."""

    def refuse(what: str, code: str) -> NetworkError:
        return NetworkError(
            f"{shown(place)}: {what}",
            hint="check the address, HF_ENDPOINT if it is set, and proxies on the way",
            code=code,
        )

    here = urlsplit(place)
    try:
        there = urlsplit(urljoin(place, location or ""))
        usable = bool(location) and there.scheme in ("http", "https") and bool(there.hostname)
        usable = usable and (there.port is None or there.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise refuse("redirects to no web address", "bad-redirect")
    if here.scheme == "https" and there.scheme == "http" and not is_local(there):
        raise refuse(f"redirects from https to plain http ({there.hostname})", "insecure")
    if is_local(there) and not is_local(here):
        raise refuse(f"redirects to this machine ({there.hostname})", "insecure")
    return there.geturl()
