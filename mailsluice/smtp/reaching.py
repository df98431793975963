"""Look a server up and connect to it, in separate steps, for verifying a connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, NamedTuple

from mailsluice.core.local_cause import LocalCause
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import SessionError
from mailsluice.smtp.trouble import attempt_from


class Place(NamedTuple):
    """An address at which a server may be reached."""

    family: socket.AddressFamily
    address: tuple[Any, ...]

    @property
    def host(self) -> str:
        return str(self.address[0])


def is_loopback(host: str) -> bool:
    """Whether a name or address is of this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def look_up(connection: Connection) -> list[Place]:
    """Return the addresses of the host, A and AAAA. Raises SessionError if there are none."""
    loop = asyncio.get_running_loop()
    try:
        addresses = await loop.getaddrinfo(
            connection.host, connection.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except (OSError, ValueError) as error:
        raise SessionError(_attempt(error, connection)) from error
    return [Place(family, address) for family, _, _, _, address in addresses]


async def reach(connection: Connection, places: Sequence[Place]) -> socket.socket:
    """Connect to the first address that answers. Raises SessionError if none does."""
    seconds = connection.timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            return await _first(places)
    except TimeoutError as error:
        where = f"{connection.host}:{connection.port}"
        text = f"{where} was not reached in {seconds:g} s"
        attempt = Attempt(Phase.CONNECT, None, text, cause=LocalCause.HOST_UNREACHABLE)
        raise SessionError(attempt) from error
    except OSError as error:
        raise SessionError(_attempt(error, connection)) from error


async def _first(places: Sequence[Place]) -> socket.socket:
    failure = OSError("the name has no address")
    for place in places:
        sock = socket.socket(place.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, place.address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _attempt(error: Exception, connection: Connection) -> Attempt:
    return attempt_from(error, Phase.CONNECT, connection, has_greeted=False)
