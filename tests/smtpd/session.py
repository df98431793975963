"""One session of a test server."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Generator
from typing import cast

from tests.smtpd.auth import OK, login
from tests.smtpd.faults import DROP, HANG, Script, Stage
from tests.smtpd.output import Output
from tests.smtpd.recording import Received
from tests.smtpd.settings import Settings

_ADDRESS = re.compile(rb"(?:FROM|TO):\s*<([^>]*)>\s*(.*)", re.IGNORECASE)


_TOO_MANY = (
    b"421 4.3.2 The maximum number of concurrent server connections has exceeded a limit,"
    b" closing transmission channel"
)


class SmtpSession(asyncio.Protocol):
    """Takes commands as they come, pipelined or not, and writes its replies in one go."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        script: Script,
        record: Callable[[Received], None],
        logged_in: Callable[[str], None],
    ) -> None:
        self._number = number
        self._settings = settings
        self._script = script
        self._record = record
        self._logged_in = logged_in
        self._buffer = b""
        self._at = 0
        """Up to where the buffer is done with."""
        self._handlers = {
            name.removeprefix("_on_").upper().encode(): getattr(self, name)
            for name in dir(self)
            if name.startswith("_on_")
        }
        self._replies: list[bytes] = []
        self._dialogue: Generator[bytes, bytes, bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._logged = False
        self._idle: asyncio.TimerHandle | None = None
        self._encrypted = settings.tls_from_start
        self._in_handshake = False
        self._over = False
        self._messages = 0
        self.is_held = False
        """Whether replies wait here until the server lets them go."""
        self._body: Callable[[], bool] | None = None
        self._reset()

    def _reset(self) -> None:
        self._sender: str | None = None
        self._recipient: str | None = None
        self._parameters = ""
        self._chunks = b""

    # the wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._output = Output(self._transport, self._settings.delay_seconds, self._settings.piece)
        if self._script.opens(self._settings.most_sessions):
            self._do(Stage.GREETING, b"220 mail.example ESMTP test")
        else:
            self._say(_TOO_MANY)
            self._close()
        self._flush()
        self._be_patient()

    def drop(self) -> None:
        """Cut the link."""
        if self._transport is not None:
            self._transport.abort()

    def let_go(self) -> None:
        """Write the replies that were held back."""
        self.is_held = False
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._be_patient()
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        if not self._in_handshake:
            self._proceed()

    def _be_patient(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if (seconds := self._settings.idle_seconds) is not None:
            self._idle = asyncio.get_running_loop().call_later(seconds, self._end_idle)

    def _end_idle(self) -> None:
        if not self._over:
            if self._settings.idle_reply:
                self._say(self._settings.idle_reply)
            self._close()

    def _proceed(self) -> None:
        while not self._over and (self._body() if self._body else self._next_line()):
            pass
        self._flush()

    def _next_line(self) -> bool:
        end = self._buffer.find(b"\r\n", self._at)
        if end < 0:
            return False
        line = self._buffer[self._at : end]
        self._at = end + 2
        if self._dialogue is not None:
            self._authenticate(line)
            return True
        verb, _, rest = line.partition(b" ")
        handler = self._handlers.get(verb.upper())
        if handler is None:
            self._say(b"500 5.5.2 Unrecognized command")
        else:
            handler(rest)
        return True

    def _say(self, reply: bytes) -> None:
        self._replies.append(reply + b"\r\n")

    def _flush(self) -> None:
        if self.is_held:
            return
        self._output.write(b"".join(self._replies))
        self._replies.clear()

    def _close(self) -> None:
        self._flush()
        self._over = True
        self._output.close()

    def _do(self, stage: Stage, reply: bytes, address: str = "*") -> bool:
        """Reply as usual, or do what the script wants; tells whether it went as usual."""
        if self._strikes(stage, address):
            return False
        self._say(reply)
        return True

    def _strikes(self, stage: Stage, address: str) -> bool:
        action = self._script.due(stage, address)
        if action is None:
            return False
        if action == DROP:
            self._close()
        elif action == HANG:
            self._flush()
            self._over = True
            self._script.on_hang()
        else:
            self._say(action)
            if action.startswith(b"421"):
                self._close()
        return True

    # commands

    def _on_ehlo(self, _: bytes) -> None:
        lines = ["mail.example", *self._settings.keywords]
        if self._settings.demands_login:
            lines.append("AUTH " + " ".join(self._settings.auth_methods))
        if self._settings.tls is not None and not self._encrypted:
            lines.append("STARTTLS")
        reply = [f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]
        self._do(Stage.EHLO, "\r\n".join(reply).encode())

    def _on_starttls(self, _: bytes) -> None:
        if self._do(Stage.STARTTLS, b"220 2.0.0 Ready to start TLS"):
            self._output.transport.pause_reading()  # what comes now is for TLS
            self._flush()
            self._encrypted = self._in_handshake = True
            loop = asyncio.get_running_loop()
            self._handshake = loop.create_task(self._start_tls(loop))

    async def _start_tls(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._settings.tls is not None
        try:
            transport = await loop.start_tls(
                self._output.transport, self, self._settings.tls, server_side=True
            )
        except OSError:  # the client did not like the certificate
            self._output.transport.abort()
        else:
            if transport is not None:
                self._transport = self._output.transport = transport
            self._in_handshake = False
            self._proceed()  # what came while this task waited for its turn

    def _on_auth(self, rest: bytes) -> None:
        method, _, initial = rest.partition(b" ")
        self._dialogue = login(method.decode().upper(), initial, self._settings)
        self._authenticate(None)

    def _authenticate(self, line: bytes | None) -> None:
        assert self._dialogue is not None
        try:
            self._say(next(self._dialogue) if line is None else self._dialogue.send(line))
        except StopIteration as end:
            self._dialogue = None
            if self._do(Stage.AUTH, end.value) and end.value == OK:
                self._logged = True
                self._logged_in("ok")
            else:
                self._logged_in("refused")
                if self._settings.closes_after_refusal:
                    self._close()

    def _on_mail(self, rest: bytes) -> None:
        match = _ADDRESS.match(rest)
        limit = self._settings.messages_per_session
        if limit is not None and self._messages >= limit and self._settings.stays_open:
            self._say(self._settings.stays_open)
            self._script.over_limit += 1
        elif limit is not None and self._messages >= limit:
            self._say(b"421 4.7.0 Too many messages in this session")
            self._close()
        elif self._settings.demands_login and not self._logged:
            self._say(b"530 5.7.0 Authentication required")
        elif match is None:
            self._say(b"501 5.5.4 Syntax: MAIL FROM:<address>")
        elif self._sender is not None:
            self._say(b"503 5.5.1 Nested MAIL command")
        elif self._do(Stage.MAIL, b"250 2.1.0 Ok", match[1].decode()):
            self._sender, self._parameters = match[1].decode(), match[2].decode()

    def _on_rcpt(self, rest: bytes) -> None:
        match = _ADDRESS.match(rest)
        if self._sender is None:
            self._say(b"503 5.5.1 Need MAIL before RCPT")
        elif match is None:
            self._say(b"501 5.5.4 Syntax: RCPT TO:<address>")
        elif self._do(Stage.RCPT, b"250 2.1.5 Ok", match[1].decode()):
            self._recipient = match[1].decode()

    def _on_data(self, _: bytes) -> None:
        if self._recipient is None and not self._settings.data_without_recipients:
            self._say(b"554 5.5.1 No valid recipients")
        elif self._do(Stage.DATA, b"354 End data with <CR><LF>.<CR><LF>", self._recipient or "-"):
            self._body = self._read_body

    def _on_bdat(self, rest: bytes) -> None:
        size, _, last = rest.partition(b" ")
        if "CHUNKING" not in self._settings.keywords:
            self._say(b"502 5.5.1 BDAT not implemented")
        elif not size.isdigit() or last.upper() not in (b"", b"LAST"):
            self._say(b"501 5.5.4 Syntax: BDAT size [LAST]")
        else:
            self._body = lambda: self._read_chunk(int(size), bool(last))

    def _on_rset(self, _: bytes) -> None:
        if self._do(Stage.RSET, b"250 2.0.0 Ok"):
            self._reset()

    def _on_quit(self, _: bytes) -> None:
        self._say(b"221 2.0.0 Bye")
        self._close()

    # messages

    def _read_body(self) -> bool:
        start = self._at
        if start == len(self._buffer) or self._cut_off():
            return False
        if self._buffer.startswith(b".\r\n", start):
            end = start
        else:
            end = self._buffer.find(b"\r\n.\r\n", start) + 2
            if end < 2:
                return False
        content = self._buffer[start:end]
        self._at = end + 3
        if content.startswith(b"."):
            content = content[1:]
        if b"\r\n." in content:
            content = content.replace(b"\r\n.", b"\r\n")
        self._finish(content)
        return True

    def _cut_off(self) -> bool:
        """Whether something goes wrong in the middle of the body."""
        if not self._strikes(Stage.BODY, self._recipient or "-"):
            return False
        if self._settings.goes_on_after_body_fault:
            self._flush()
            self._over = True
            self._script.on_hang()
        elif not self._over:
            self._close()
        return True

    def _read_chunk(self, size: int, last: bool) -> bool:
        """A chunk is read whole before anything is said about it, a refusal too (RFC 3030)."""
        end = self._at + size
        if len(self._buffer) > self._at and self._cut_off():
            return False
        if len(self._buffer) < end:
            return False
        self._chunks += self._buffer[self._at : end]
        self._at = end
        self._body = None
        if self._recipient is None:
            self._say(b"503 5.5.1 No valid recipients")
        elif self._strikes(Stage.DATA, self._recipient):
            pass
        elif last:
            self._finish(self._chunks)
        else:
            self._say(b"250 2.0.0 Ok")
        return not self._over

    def _finish(self, content: bytes) -> None:
        sender, recipient, parameters = self._sender, self._recipient, self._parameters
        self._body = None
        self._reset()
        if recipient is None:
            self._say(b"554 5.5.1 No valid recipients")
            return
        if self._strikes(Stage.DOT, recipient):
            return
        now = time.monotonic()
        self._record(Received(sender or "", recipient, content, now, self._number, parameters))
        self._messages += 1
        self._script.accepted += 1
        self.is_held = self._script.holds_back
        if self._do(Stage.ACCEPTED, b"250 2.0.0 Ok: queued", recipient):
            self._strikes(Stage.AFTER, recipient)
        limit = self._settings.messages_per_session
        if limit is not None and self._messages >= limit and self._settings.closes_silently:
            self._close()
