"""The bytes written to a socket that the kernel has not delivered."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import sys
import termios

_IS_KNOWN = sys.platform == "linux"  # where SIOCOUTQ, tcp(7), is TIOCOUTQ


def unacknowledged(transport: asyncio.Transport) -> int:
    """Count the bytes that the other side had not acknowledged when it closed the link.

    Call this at the end of file. The bytes have not arrived: the segment that closes a link
    acknowledges everything that came before it (RFC 9293 section 3.4), and a closed socket accepts
    nothing more. That does not hold for a link that is reset, or dropped on this side. On an
    encrypted link the kernel's bytes are not those that were written, so the count is 0.
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
