"""The bytes written to a socket that the kernel still has."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import sys
import termios

_IS_KNOWN = sys.platform == "linux"  # SIOCOUTQ, tcp(7), is TIOCOUTQ there


def unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes that the other side had not acknowledged when it closed: ask at the end of file.

    They have not arrived: the segment that closes a link acknowledges all that came before it (RFC
    9293 section 3.4), and a socket that is closed takes nothing more. That holds neither for a link
    that is reset nor for one that is dropped on this side. Encrypted bytes are not those that were
    written, so none are counted there.
    """
    sock = transport.get_extra_info("socket")
    is_encrypted = transport.get_extra_info("sslcontext") is not None
    if not _IS_KNOWN or sock is None or is_encrypted:
        return 0
    try:
        queued = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int(struct.unpack("i", queued)[0]) + transport.get_write_buffer_size()
