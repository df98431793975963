"""A name server on 127.0.0.1, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
from dns.rdatatype import to_text

Zone = Mapping[str, Mapping[str, list[str]]]
"""By domain: by type (MX, A, AAAA), the values of its records. Other domains do not exist."""
CONTROLS: Zone = {
    name: {"MX": [f"10 mx.{name}."]} for name in ("gmail.com", "outlook.com", "yahoo.com")
}
"""Without these domains, a name server is not believed."""
SILENT = "silent"
FAILING = "failing"
"""As a type: the server does not answer about this domain, or says SERVFAIL."""


class DnsServer(asyncio.DatagramProtocol):
    """Answers from a zone, and counts the questions."""

    def __init__(self, zone: Zone, ttl: int) -> None:
        self.zone = zone
        self.ttl = ttl
        self.port = 0
        self.questions: Counter[str] = Counter()
        """By domain."""

    def connection_made(self, transport: Any) -> None:
        """Note where to answer."""
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        domain = question.name.to_text(omit_final_dot=True).lower()
        self.questions[domain] += 1
        known = self.zone.get(domain)
        if known is not None and SILENT in known:
            return
        reply = dns.message.make_response(query)
        if known is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif FAILING in known:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif values := known.get(kind := to_text(question.rdtype)):
            reply.answer.append(dns.rrset.from_text(question.name, self.ttl, "IN", kind, *values))
        self._transport.sendto(reply.to_wire(), addr)


async def _closed(transport: asyncio.BaseTransport) -> None:
    transport.close()
    await asyncio.sleep(0)  # the transport closes its socket


@contextmanager
def dns_server(zone: Zone, ttl: int = 300) -> Iterator[DnsServer]:
    """Run a name server while the `with` block runs; its answers may be kept for `ttl` seconds."""
    loop = asyncio.new_event_loop()
    server = DnsServer(zone, ttl)
    thread = threading.Thread(target=loop.run_forever, name="dns")
    thread.start()
    try:
        opening = loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
        transport, _ = asyncio.run_coroutine_threadsafe(opening, loop).result()
        yield server
        asyncio.run_coroutine_threadsafe(_closed(transport), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
