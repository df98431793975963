"""Sign messages in threads, beside the event loop that sends.

An RSA signature takes a third of a millisecond, ten times as long as everything else that a message
needs. `cryptography` releases the interpreter's lock meanwhile, so all cores sign. A message is
signed while its session waits for the replies to MAIL, RCPT and DATA. With Ed25519 alone it is
signed at once, since a thread's turn costs more than the signature.
"""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache

from mailsluice.core.envelope import Envelope
from mailsluice.smtp.dkim.settings import Dkim

_MOST_THREADS = 8


class Signer:
    """Signs the envelopes of a connection's sessions."""

    def __init__(self, dkim: Dkim) -> None:
        from mailsluice.smtp.dkim.signature import MessageSigner  # loads cryptography

        self._signer = MessageSigner(dkim)
        self._room = bytes(self._signer.octets)

    def begin(self, envelope: Envelope) -> Envelope:
        """Sign an envelope, or begin to.

        In the second case, its content is as long as the signed message, for SIZE, and `signed`
        becomes the signed message.
        """
        now = int(time.time())
        if self._signer.is_quick:
            return envelope._replace(content=self._signer.sign(envelope.content, now))
        signed = asyncio.get_running_loop().run_in_executor(
            _threads(), self._signer.sign, envelope.content, now
        )
        return envelope._replace(content=self._room + envelope.content, signed=signed)


@lru_cache(maxsize=64)
def signer_of(dkim: Dkim) -> Signer | None:
    """Return the signer of a connection, which its sessions share; None: it does not sign."""
    return Signer(dkim) if dkim.is_used else None


@cache
def _threads() -> ThreadPoolExecutor:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ThreadPoolExecutor(min(cores or 1, _MOST_THREADS), "mailsluice-dkim")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_threads.cache_clear)  # threads do not survive a fork
