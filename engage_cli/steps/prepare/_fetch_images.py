"""Covers that a table names by their addresses, fetched into the data folder: several at once, again where that may help.

What was fetched stays, so that a killed call goes on. An address that leads to this machine or its network is refused; that
is looked at once more when the connection stands, for a name may resolve to something else by then. So are redirects.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from engage_cli.io.files import atomic_write
from engage_cli.progress.reporters import Reporter

AT_ONCE = 8
TRIES, FIRST_WAIT, MOST_WAIT = 4, 0.5, 30.0  # seconds, doubled from try to try
TIMEOUT = 20.0  # seconds without a byte
MOST_SECONDS = 120.0  # for one image
MOST_BYTES = 32 << 20
MOST_REDIRECTS = 5
AGAIN = (408, 425, 429, 500, 502, 503, 504)
SIGNS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}


class FetchError(Exception):
    """Why an address gives no image, in a few words that are the same for equal causes."""


class _AgainError(Exception):
    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def fetch_images(
    addresses: Sequence[str], folder: Path, *, allow_private: bool, reporter: Reporter
) -> tuple[list[str], dict[str, str]]:
    """Return each address' file in the folder ("" where there is none), and why each failed address failed."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(dict.fromkeys(address for address in addresses if address))
    there = {path.stem: path.name for path in folder.iterdir() if not path.name.startswith(".")}
    found = {address: there[_stem(address)] for address in wanted if _stem(address) in there}
    failed: dict[str, str] = {}
    todo = [address for address in wanted if address not in found]
    with reporter.stage("fetching images", len(wanted)) as stage, ThreadPoolExecutor(AT_ONCE) as workers:
        stage.advance(len(found))

        def work(address: str) -> tuple[str, str, str]:
            try:
                data = _fetch_patiently(address, allow_private=allow_private, sleep=time.sleep)
            except FetchError as problem:
                return address, "", str(problem)
            name = _stem(address) + next((suffix for sign, suffix in SIGNS.items() if data.startswith(sign)), ".img")
            with atomic_write(folder / name) as beside:
                beside.write_bytes(data)
            return address, name, ""

        for address, name, problem in workers.map(work, todo):
            if problem:
                failed[address] = problem
            else:
                found[address] = name
            stage.advance()
    return [found.get(address, "") for address in addresses], failed


def _stem(address: str) -> str:
    return hashlib.blake2b(address.encode(), digest_size=12).hexdigest()


def _fetch_patiently(address: str, *, allow_private: bool, sleep: Callable[[float], None]) -> bytes:
    wait, reason = FIRST_WAIT, ""
    for number in range(TRIES):
        if number:
            sleep(min(wait, MOST_WAIT))
            wait *= 2
        try:
            return _fetch(address, allow_private=allow_private)
        except _AgainError as again:
            reason, wait = str(again), max(wait, again.wait)
    raise FetchError(f"{reason}, {TRIES} times")


def _fetch(address: str, *, allow_private: bool) -> bytes:
    until = time.monotonic() + MOST_SECONDS
    for _ in range(MOST_REDIRECTS + 1):
        parts = urlsplit(address if "//" in address else f"https://{address}")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise FetchError("no http address")
        connection = _connect(parts.scheme, parts.hostname, parts.port, allow_private=allow_private)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={"User-Agent": "engage", "Accept": "image/*"})
            answer = connection.getresponse()
            if answer.status in (301, 302, 303, 307, 308) and (place := answer.headers.get("Location")):
                address = urljoin(address, place)
                continue
            if answer.status in AGAIN:
                asked = answer.headers.get("Retry-After", "")
                raise _AgainError(f"HTTP {answer.status}", float(asked) if asked.isdigit() else 0.0)
            if answer.status != 200:
                raise FetchError(f"HTTP {answer.status}")
            return _read(answer, until)
        except (http.client.HTTPException, OSError, UnicodeError, ValueError) as error:
            raise _AgainError("timeout" if isinstance(error, TimeoutError) else "broken connection") from None
        finally:
            connection.close()
    raise FetchError("too many redirects")


def _connect(scheme: str, host: str, port: int | None, *, allow_private: bool) -> http.client.HTTPConnection:
    try:
        if scheme == "https":
            context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        _check_host(host, port or (443 if scheme == "https" else 80), allow_private=allow_private)
        connection.connect()
    except socket.gaierror:
        raise _AgainError("no such host") from None
    except ssl.SSLError:
        raise FetchError("no valid certificate") from None
    except (OSError, UnicodeError, ValueError) as error:
        raise _AgainError("timeout" if isinstance(error, TimeoutError) else "no connection") from None
    if not allow_private and not _is_public(connection.sock.getpeername()[0]):
        connection.close()
        raise FetchError("a private address")
    return connection


def _check_host(host: str, port: int, *, allow_private: bool) -> None:
    """Refuse a private address before anything is sent to it; where the connection led is looked at once more."""
    places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not allow_private and not all(_is_public(str(place[4][0])) for place in places):
        raise FetchError("a private address")


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global and not found.is_multicast


def _read(answer: http.client.HTTPResponse, until: float) -> bytes:
    length = answer.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > MOST_BYTES:
        raise FetchError(f"larger than {MOST_BYTES >> 20} MiB")
    if answer.headers.get_content_type() in ("text/html", "application/json"):
        raise FetchError("a page and no image")
    data = bytearray()
    while block := answer.read(1 << 16):
        data += block
        if len(data) > MOST_BYTES:
            raise FetchError(f"larger than {MOST_BYTES >> 20} MiB")
        if time.monotonic() > until:
            raise FetchError("too slow")
    if length.isdigit() and len(data) < int(length):
        raise _AgainError("broken connection")
    if not data:
        raise FetchError("empty")
    return bytes(data)
