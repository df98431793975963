"""Leave the subject of the returned mail out of a report's words. Pure.

Reports repeat the subject for people: "Subject: Your account will be deleted". Its words are the
campaign's own, and say nothing about the recipient. The subject is known where the mail is
returned; elsewhere, the name of the field in the reports' languages tells where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser

from mailsluice.bounces.report_parts import parts, plain, text

_LONGEST = 300
"""Characters of a subject that are looked for."""
_SHORTEST_WORD = 4
"""Letters of a subject of one word that is left out."""
_MAX_SUBJECTS = 5
_MAX_HEADER, _MAX_FIELD = 16_000, 2_000
"""Octets of a returned header that are read, and characters of its subject."""
_MAX_FOLDED = 10
"""Lines that the subject may take."""

_NAMES = (
    r"(?:\b(?:subject|subj|betreff(?:zeile)?|thema|objet|sujet|oggetto|asunto|assunto|onderwerp|temat|tema"
    r"|тема|ämne|emne|konu|aihe|předmět|tárgy|subiect|θέμα)\b(?:\(s\))?"
    r"|件名|表題|題名|主题|主題|主旨|标题|標題|제목)"
)
"""The name of the field in the languages of `mailsluice.bounces.words`, and in some others."""
_LINE_NAMES = (
    r"\b(?:regarding|concerning|ref|topic|thread-topic|title|betrifft|betr\.?|titel|titre)"
)
"""Names of the field that are common words, at the beginning of a line."""
_YOUR_MESSAGE = (
    r"\b(?:your|ihre|votre|su|tu|suo|tuo|il|uw|sua|a|twoja|ваше)[^\S\n]"
    r"(?:e-?mail|mail|message|nachricht|courriel|mensaje|correo|messaggio|bericht|mensagem"
    r"|wiadomość|сообщение|письмо)[^\S\n]{1,3}(?=[\"“„«「])"
)
_IS = (
    r"(?:[^\S\n](?:line|of|the|your|this|original|returned|message|mail|e-?mail|is|was|lautet|ist"
    r"|war|est|était)\b){0,6}"
)
_QUOTE = r"(?:[\"“”„«»「『《]|(?<!\w)['‘‚`])"
_END = r"(?:[\"“”»«」』》]|['’](?!\w))"
_IN_QUOTES = re.compile(
    rf"(?:{_YOUR_MESSAGE}|{_NAMES}(?:[^\S\n]{{0,5}}[:：]?[^\S\n]{{0,5}}|[^\"“”„«»'‘‚`:：\n]{{0,30}})){_QUOTE}"
    rf"(?:[^\n]{{0,{_LONGEST}}}{_END}|[^\n]{{0,{_LONGEST}}}\n[^\n]{{0,{_LONGEST}}}?{_END}|[^\n]*+)",
    re.IGNORECASE,
)
"""Matches a subject in quotes: the last quote of the line ends it, or the first one of the next."""
_WORD = re.compile(r"[\u2e80-\ud7ff]|[^\W\u2e80-\ud7ff]++")
"""Matches a word, or one ideograph: there are no spaces between those."""
_IDEOGRAPH = re.compile(r"[\u2e80-\ud7ff]")
_FIELD = re.compile(
    rf"{_NAMES}(?:{_IS}[^\S\n]*+[*_\])】」]*+[^\S\n]*+[:：=]|[^\S\n](?:is|was|ist|war|lautet)[^\S\n])"
    rf"|[【\[]{_NAMES}[】\]]",
    re.IGNORECASE,
)
"""Matches the beginning of a field, wherever it is."""
_LINE = re.compile(
    rf"^[\s>|]*+[\W_]{{0,20}}(?:(?:original|returned|message|e-?mail|mail)[^\S\n]++){{0,2}}"
    rf"(?:{_NAMES}|{_LINE_NAMES}(?=[^\S\n]*+[*_]*+[:：]))"
    r"(?:(?:[^\S\n]+(?!to\b)[^\W\d]{1,15}){0,4}[^\S\n]*+[*_\])】」]*+[^\S\n]*+[:：=]"
    r"|\t|[ ]{2}|[】\]]|[ ]?\||[ ][-–—][ ]|[ ](?-i:[A-Z]))",
    re.IGNORECASE,
)
"""Matches the beginning of a line that is a field, where more words or no colon may follow."""
_NO_FOLD = re.compile(
    r"[245]\d\d[ -]|[\w-]{2,25}[^\S\n]*+[:：]|.*(?:@|(?<![\d.])[245]\.\d{1,3}\.\d)"
)
"""Matches lines that do not continue a subject: a reply, another field, or one with an address."""
_UNDELIVERABLE = re.compile(
    r"((?:undeliver(?:able|ed)|unzustellbar|non remis|non recapitabile|no se puede entregar"
    r"|no entregado|não (?:é possível entregar|entregue)|onbestelbaar|nie można dostarczyć"
    r"|niedostarczalne|olevererat|kan ikke leveres|teslim edilemedi|не удается доставить"
    r"|недоставлено|配信不能|无法送达|無法傳遞|無法送達|배달되지 않음)[^\S\n]*+[:：])[^\S\n]*+(.*)",
    re.IGNORECASE,
)
"""Matches the subject of a report that ends with the subject of the returned mail."""


def without_subjects(report: str, subjects: Collection[str]) -> str:
    """Return a report's words without these subjects, and without fields with any subject."""
    for subject in subjects:
        report = _without(report, subject)
    lines = _without_fields(report.split("\n"), _LINE)
    unquoted = _IN_QUOTES.sub(" ", "\n".join(lines))
    return "\n".join(_without_fields(unquoted.split("\n"), _FIELD))


def without_quoted(reply: str) -> str:
    """Return a server's reply, which has one line, without a subject that it names as such."""
    unquoted = _IN_QUOTES.sub(" ", reply)
    named = _FIELD.search(unquoted)
    return unquoted[: named.start()] if named else unquoted


def own_subject(message: Message) -> str:
    """Return the subject of a report itself, without that of the returned mail."""
    subject = plain(_decoded(_subject(message)))
    if ending := _UNDELIVERABLE.match(subject):
        return ending[1]
    for returned in subjects_of(message):
        subject = _without(subject, returned)
    return subject


def subjects_of(message: Message, copy: str = "") -> tuple[str, ...]:
    """Return the subject of the returned mail, in each form that a report may repeat.

    Args:
        message: The report.
        copy: The beginning of the returned mail, if the report has it as text.
    """
    given = [*_returned(message), *_fields(copy)]
    if ending := _UNDELIVERABLE.match(plain(_decoded(_subject(message)))):
        given.append(ending[2])
    forms = (plain(form)[:_LONGEST] for value in given for form in (_decoded(value), value))
    found = dict.fromkeys(form for form in forms if _is_telling(form))
    return tuple(sorted(list(found)[:_MAX_SUBJECTS], key=len, reverse=True))


def _returned(message: Message) -> Iterator[str]:
    for part in parts(message):
        payload = part.get_payload()
        if part.get_content_maintype() == "message" and isinstance(payload, list):
            yield from (_subject(mail) for mail in payload[:1] if isinstance(mail, Message))
        elif part.get_content_type() == "text/rfc822-headers":
            head = BytesHeaderParser().parsebytes(text(part).lstrip()[:_MAX_HEADER])
            yield _subject(head)


def _subject(message: Message) -> str:
    """Return the subject's field, which may be in UTF-8 (RFC 6532)."""
    named = (value for name, value in message.raw_items() if name.lower() == "subject")
    octets = str(next(named, ""))[:_MAX_FIELD].encode("utf-8", "surrogateescape")
    return octets.decode("utf-8", "replace")


def _fields(copy: str) -> Iterator[str]:
    """Yield the subject in a copy of the returned mail."""
    lines = copy[:_MAX_HEADER].splitlines()
    for index, line in enumerate(lines):
        name, _, value = line.strip().partition(":")
        if name.lower() == "subject":
            yield " ".join((value, *_folded(lines[index + 1 :], 0)))[:_MAX_FIELD]
            return


def _folded(lines: Sequence[str], indent: int) -> list[str]:
    """Return the lines with which a field goes on: those that are indented more than its name."""
    folded: list[str] = []
    for line in lines[:_MAX_FOLDED]:
        start = _indent(line)
        if start <= indent or start == len(line) or _NO_FOLD.match(line, start):
            break
        folded.append(line)
    return folded


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t>|"))


def _without_fields(lines: Sequence[str], beginning: re.Pattern[str]) -> Iterator[str]:
    """Yield lines, each up to a field in it; a line that has nothing else is left out."""
    skipped = 0
    for index, line in enumerate(lines):
        if skipped:
            skipped -= 1
            continue
        found = beginning.search(line)
        if found is None:
            yield line
            continue
        skipped = len(_folded(lines[index + 1 : index + 1 + _MAX_FOLDED], _indent(line)))
        if line[: found.start()].strip(" \t>|"):
            yield line[: found.start()]


def _decoded(value: str) -> str:
    """Decode a field's words (RFC 2047)."""
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        return value


def _without(report: str, subject: str) -> str:
    """Leave a subject out wherever its words follow each other, whatever is between them.

    A single word keeps its case: "spring" may be any word, and "Spring" is the subject.
    """
    is_single = " " not in subject and not _IDEOGRAPH.search(subject)
    sought = _WORD.findall(subject)
    words = list(_WORD.finditer(report))
    joined = _joined(word[0] for word in words)
    target = _joined(sought)
    if not is_single:
        joined, target = joined.casefold(), target.casefold()
    kept: list[str] = []
    at = position = index = 0
    while (match := joined.find(target, position)) >= 0:
        index += joined.count("\0", position, match)
        kept.append(report[at : words[index].start()])
        at = words[index + len(sought) - 1].end()
        index += len(sought)
        position = match + len(target) - 1  # its last mark begins the next word
    return " ".join((*kept, report[at:]))


def _joined(words: Iterable[str]) -> str:
    """Join words with a mark before, between and behind them, so that only whole words match."""
    return "".join(f"\0{word}" for word in words) + "\0"


def _is_telling(subject: str) -> bool:
    """Whether a subject can be left out: a short word may be any word of a report."""
    words = _WORD.findall(subject)
    if " " not in subject:
        return "@" not in subject and len("".join(words)) >= _SHORTEST_WORD
    return len(words) > 1
