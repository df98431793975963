"""The next step for what is wrong with a copy in a probe mailbox, in plain words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mailsluice.operations.probes.authentication import NONE, PASS, Verdict, Verdicts
from mailsluice.operations.probes.delivered import Delivered, Placement
from mailsluice.operations.probes.received import NO_TLS

_TEMPORARY = "temperror"


def next_steps(
    placement: Placement, delivered: Delivered | None, provider: str, waited_minutes: float
) -> Iterator[str]:
    """Yield a sentence for each failure; nothing for a copy that is as it should be."""
    provider = provider or "the mailbox's host"
    if delivered is None:
        yield (
            f"The server accepted the copy, but after {_minutes(waited_minutes)} it is in no folder"
            f" of the mailbox: {provider} may put off mail of new senders (greylisting) or drop it."
            " Look for the Message-ID in the provider's log of the connection, and try again with a"
            " longer wait."
        )
        return
    faults = [
        *_spf(delivered.verdicts),
        *_dkim(delivered.verdicts),
        *_dmarc(delivered.verdicts),
    ]
    yield from faults
    if delivered.tls == NO_TLS:
        yield (
            "The mail reached the mailbox's host without TLS, so anybody on the way could read it:"
            " ask the connection's provider to use TLS where it is offered."
        )
    if placement is Placement.SPAM:
        given = (delivered.verdicts.spf, delivered.verdicts.dkim, delivered.verdicts.dmarc)
        yield _spam(provider, is_explained=bool(faults), is_checked=any(given))
    if placement is Placement.OTHER:
        yield (
            f"The copy is in the folder {delivered.folder[:60]!r}, where a filter of the mailbox"
            " put it: remove the filter, so that the test shows what other people get."
        )


def _minutes(count: float) -> str:
    return "a minute" if count == 1 else f"{count:g} minutes"


def _spam(provider: str, *, is_explained: bool, is_checked: bool) -> str:
    if is_explained:
        return (
            "The copy is in the spam folder: first fix SPF, DKIM or DMARC as the other steps say."
        )
    if not is_checked:
        return (
            "The copy is in the spam folder, and the mailbox's host does not say what it thinks of"
            " SPF, DKIM and DMARC: check them with verify-connection, then look at the content and"
            " at block lists of the connection's IP address."
        )
    return (
        f"The copy is in the spam folder of {provider} although nothing is wrong with its"
        " authentication: the reputation of the IP address or the domain is low, or the content"
        " looks like spam. Send the same mail over another connection to tell the two apart, and"
        " look at the postmaster tools of the provider."
    )


def _spf(verdicts: Verdicts) -> Iterator[str]:
    verdict = verdicts.spf
    if verdict is None or verdict.counts:
        return
    domain = verdict.domain or "the return path's domain"
    if verdict.result == PASS:
        if verdict.domain and not (verdicts.dkim and verdicts.dkim.counts):
            yield (
                f"SPF passes for {domain}, which is not of the organisation of {verdicts.sender},"
                " so it does not count for DMARC: use a return path at the sender's domain (the"
                " provider calls it a custom return path or MAIL FROM), or sign with DKIM for"
                f" {verdicts.sender}."
            )
    elif verdict.result == _TEMPORARY:
        yield f"SPF could not be checked for a moment: {_name_server(domain)}"
    elif verdict.result == NONE:
        yield (
            f"SPF: the return path's domain {domain} has no SPF record: publish a TXT record such"
            " as `v=spf1 include:<the provider's name> ~all`."
        )
    elif verdict.result == "permerror":
        yield (
            f"SPF: the record of the return path's domain {domain} is wrong (two records, a"
            " mistake in one, or more than ten look-ups): correct it."
        )
    else:
        yield (
            f"SPF fails ({verdict.result}): the return path's domain {domain} does not list the"
            " server that delivered the mail: add the provider's include to its SPF record, or use"
            " the return path that the provider names."
        )


def _dkim(verdicts: Verdicts) -> Iterator[str]:
    verdict = verdicts.dkim
    if verdict is None or verdict.counts:
        return
    sender = verdicts.sender or "the sender's domain"
    if verdict.result == PASS:
        if verdict.domain:
            yield (
                f"DKIM passes for {verdict.domain}, which is not of the organisation of {sender},"
                f" so it does not count for DMARC: have the provider sign for {sender} (domain"
                " authentication)."
            )
    elif verdict.result == NONE:
        yield (
            f"DKIM: the mail is not signed: switch signing for {sender} on at the provider, and"
            " publish the key that it gives you."
        )
    elif verdict.result == _TEMPORARY:
        yield f"DKIM could not be checked for a moment: {_name_server(verdict.domain or sender)}"
    else:
        yield (
            f"DKIM fails ({verdict.result}) for {verdict.domain or sender}: the key in DNS is"
            " missing or another one, or a server changes the mail after it is signed: compare the"
            " published key with that of the provider."
        )


def _dmarc(verdicts: Verdicts) -> Iterator[str]:
    verdict = verdicts.dmarc
    if verdict is None or verdict.result == PASS:
        return
    sender = verdict.domain or verdicts.sender or "the sender's domain"
    if verdict.result in (NONE, "bestguesspass"):
        yield (
            f"DMARC: {sender} has no DMARC record, which Gmail, Yahoo and Microsoft require of bulk"
            f" senders: publish a TXT record at _dmarc.{sender}, to begin with `v=DMARC1; p=none`."
        )
    elif verdict.result == _TEMPORARY:
        yield f"DMARC could not be checked for a moment: {_name_server(sender)}"
    elif _may_be_aligned(verdicts.spf) or _may_be_aligned(verdicts.dkim):
        yield (
            f"DMARC fails for {sender} although SPF or DKIM passes for the same organisation: its"
            " record may ask for strict alignment (aspf=s, adkim=s) or be wrong: look at"
            f" _dmarc.{sender}."
        )
    else:
        yield (
            f"DMARC fails for {sender}: neither SPF nor DKIM passes for a domain of its"
            " organisation. Mail may be refused or put aside: correct one of the two, best DKIM."
        )


def _may_be_aligned(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.counts


def _name_server(domain: str) -> str:
    return f"the name servers of {domain} did not answer. If it happens again, look at them."
