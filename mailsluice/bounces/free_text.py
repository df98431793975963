"""Read returned mail that is only written for people. Pure.

flufl.bounce knows many forms, and finds the addresses. For other forms, only the words count.
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from email.message import Message

from flufl.bounce import all_failures

from mailsluice.bounces.notice import Reported
from mailsluice.bounces.own_reply import OwnReply, own_reply
from mailsluice.bounces.quoted_subject import own_subject
from mailsluice.bounces.report_parts import address, field, parse
from mailsluice.bounces.stated_reason import StatedReason
from mailsluice.bounces.words import Topic, topics

_SYSTEMS = re.compile(r"(?i)mailer-daemon|post_?master|mail[-_. ]?deliver|microsoftexchange")
_DAEMON = re.compile(r"(?i)mailer-daemon")
_FAILURE = re.compile(
    r"could(?: not|n.t) be (?:delivered|reached)|undeliver|not (?:been |be )?deliver"
    r"|unable to deliver|deliver\w* .{0,40}fail|fail\w* .{0,40}deliver|did not reach"
    r"|nicht (?:zugestellt|erreich(?:t|en) w)|unzustellbar|(?:zustellung|zustellen) .{0,40}fehl"
    r"|pas (?:pu être|été) (?:remis|distribu|délivr)|échec de la (?:remise|distribution)"
    r"|non (?:è stato|recapit|consegna)|no (?:se pudo|ha sido|fue) (?:entreg|posible entreg)"
    r"|não (?:pôde|foi) (?:ser )?(?:entreg|possível entreg)|niet (?:worden )?(?:bezorgd|afgeleverd)"
    r"|nie (?:można|udało się|został\w*) (?:dostarcz|doręcz)|не (?:удалось )?(?:быть )?доставл"
    r"|配信できま|配信に失敗|无法(?:送达|投递|发送)|無法(?:送達|投遞|傳遞)"
    r"|배달(?:할 수 없|하지 못|되지)",
    re.IGNORECASE,
)
"""Matches words that say that a mail was not delivered, as only reports do."""
_ADDRESS = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]{1,64}@[\w.-]{1,253}\w")
_REPLY = re.compile(r"\W*[45]\d\d[ -]")
_LEAST_FAILURE = 400
_SENTENCE = re.compile(r"(?<=[.!?,;])\s+|\n{2,}")
"""Separates paragraphs, sentences and clauses: "my mailbox is full, write to x@example.org"."""
_TELLING = frozenset((Topic.NOBODY, Topic.NOWHERE, Topic.REJECTED, Topic.FULL))
_MAX_LINES, _MAX_LINE = 300, 200
"""Bounds of the text for flufl.bounce, since some of its patterns take quadratic time."""
_MAX_FIELD = 500
_MAX_ADDRESSES = 20

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it would log text of strangers


def comes_from_a_system(message: Message) -> bool:
    """Whether a mail system wrote the mail, rather than a person or a person's auto-responder."""
    sender = field(message, "From")[:_MAX_FIELD]
    is_named = _SYSTEMS.search(sender) is not None
    return is_named or sender.endswith("<>") or "X-Failed-Recipients" in message


def is_a_report(message: Message, stated: StatedReason) -> bool:
    """Whether a daemon wrote the mail, or it says that a mail was not delivered.

    Otherwise a person may have: a postmaster, who is out of office.
    """
    sender = field(message, "From")[:_MAX_FIELD]
    is_daemon = _DAEMON.search(sender) is not None or sender.endswith("<>")
    return is_daemon or "X-Failed-Recipients" in message or _FAILURE.search(stated.text) is not None


def recipients(
    message: Message, content: bytes, stated: StatedReason, *, is_automatic: bool = False
) -> tuple[Reported, ...]:
    """Read the recipients from a mail system's text; an empty tuple if it is not understood.

    If no address can be found, the words are about the recipient whom the mail's proofs name. Not
    so if the mail calls itself an automatic reply (`is_automatic`), as returned mail and the
    out-of-office reply of a postmaster both do: then, without a server's reply, the words are about
    the addresses that are named with them.
    """
    failed, passing = _named(content)
    named = tuple(
        Reported((name,), is_final, own.status, own.code, text)
        for is_final, names in ((True, failed), (False, passing))
        for name in names
        for own, text in [stated.about((name,), is_alone=len(failed) + len(passing) == 1).reason()]
    )
    is_person = not is_a_report(message, stated)
    if is_automatic and not _quotes_a_server(stated, is_person=is_person):
        if not named:
            return _of_a_reply(_nameless(message, stated), stated, is_person=is_person)
        if is_person:
            return tuple(replace(statement, is_only_for_named=True) for statement in named)
    return named or _nameless(message, stated)


def _quotes_a_server(stated: StatedReason, *, is_person: bool) -> bool:
    """Whether a line has a reply's code or status together with the reason.

    In a person's words, other numbers look like codes: of rooms, houses and telephones.
    """
    for line in stated.lines:
        own = own_reply(line)
        if own.status and (own.code or topics(line) & _TELLING):
            return True
        first = _SENTENCE.split(line)[0]
        if is_person and _REPLY.match(first) and topics(first) & _TELLING:
            return True
        if not is_person and (own.code or 0) >= _LEAST_FAILURE and topics(line):
            return True
    return False


def _of_a_reply(
    read: tuple[Reported, ...], stated: StatedReason, *, is_person: bool
) -> tuple[Reported, ...]:
    """Restrict what an automatic reply says to the addresses that it names.

    A person names addresses for many reasons, so those of a sentence with the reason count.
    """
    whole = "\n".join(stated.lines)
    sentences = _SENTENCE.split(whole) if is_person else [whole]
    addresses = tuple(
        address.lower()
        for sentence in sentences
        if (named := _ADDRESS.findall(sentence)) and (not is_person or topics(sentence) & _TELLING)
        for address in named
    )[:_MAX_ADDRESSES]
    return tuple(
        replace(statement, addresses=addresses, is_only_for_named=True)
        for statement in read
        if addresses or not statement.is_final
    )


def _named(content: bytes) -> tuple[list[str], list[str]]:
    """Return the addresses that failed, and those whose mail is delayed."""
    lines = content.split(b"\n")[:_MAX_LINES]
    short = b"\n".join(line[:_MAX_LINE] for line in lines)
    passing, failed = all_failures(parse(short))
    return _readable(failed), _readable(passing)


def _readable(addresses: frozenset[bytes]) -> list[str]:
    names = (address(octets.decode("ascii", "replace")) for octets in sorted(addresses))
    return [name for name in names if name]


def _nameless(message: Message, stated: StatedReason) -> tuple[Reported, ...]:
    own, text = stated.reason()
    subject = own_subject(message)[:_MAX_FIELD]
    is_passing = stated.is_passing or StatedReason((subject,)).is_passing
    if is_passing:
        return (Reported((), False, own.status, own.code, text),)
    is_telling = _is_lasting(own) or topics(text) & _TELLING
    return (Reported((), True, own.status, own.code, text),) if is_telling else ()


def _is_lasting(own: OwnReply) -> bool:
    return own.status.startswith("5") or (own.code or 0) // 100 == 5
