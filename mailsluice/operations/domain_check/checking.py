"""Check the domains of several connections at once, within seconds.

A check never fails, and never delays for longer: what name servers do not answer in time is said to
be unknown, and servers that do not even know the domain of Gmail are not believed about others.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence
from typing import Any

from mailsluice.core.errors import CampaignError
from mailsluice.mailbox_providers.mail_hosts import Resolver, Unknown
from mailsluice.operations.domain_check.dkim_records import dkim_finding
from mailsluice.operations.domain_check.dmarc import dmarc_finding
from mailsluice.operations.domain_check.finding import DomainCheck, Topic, TopicFinding
from mailsluice.operations.domain_check.names import Names
from mailsluice.operations.domain_check.servers import (
    mail_server_finding,
    reverse_finding,
    server_addresses,
)
from mailsluice.operations.domain_check.spf import read_spf, spf_finding
from mailsluice.operations.domain_check.subject import Subject, alignment_warning
from mailsluice.operations.nameservers import nameservers

DNS_CHECKS = "MAILSLUICE_DNS_CHECKS"
SECONDS = 5.0
"""How long all look-ups of a check may take together."""
_OFF = f"not looked up in DNS: {DNS_CHECKS} is off"
_CLOSED = (
    "could not be checked: DNS does not answer about other domains here. Look at the records from"
    f" another network, or set {DNS_CHECKS}=off"
)
_NO_SENDER = (
    "not checked, as no sender is known: set the sender of the block's identity, or fill in a test"
    " mail"
)
_EXAMPLE = "not checked, as the sender's domain is one for examples and tests"
_LATE = "the name servers did not answer in time"


async def check_domains(
    subjects: Sequence[Subject], *, seconds: float = SECONDS, resolver: Resolver | None = None
) -> list[DomainCheck]:
    """Check the domains of each subject; returns the results in the same order.

    The name servers are those of MAILSLUICE_NAMESERVERS, or the system's, unless a `resolver` is
    given.
    """
    if os.environ.get(DNS_CHECKS, "").strip().lower() in ("off", "0", "false", "no"):
        return [_unasked(subject, _OFF) for subject in subjects]
    if not any(subject.sender_domain and not subject.is_example for subject in subjects):
        return [_unchecked(subject) for subject in subjects]
    try:
        names = Names(resolver or Resolver(nameservers()))
    except CampaignError as error:
        remark = f"could not be checked: {error}"
        return [_unasked(subject, remark, is_unknown=True) for subject in subjects]
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        if not await _in_time(names.are_believable(), deadline):
            return [_unasked(subject, _CLOSED, is_unknown=True) for subject in subjects]
        checks = (_check(subject, names, deadline) for subject in subjects)
        return [*await asyncio.gather(*checks)]
    finally:
        await names.close()


async def _check(subject: Subject, names: Names, deadline: float) -> DomainCheck:
    if not subject.sender_domain or subject.is_example:
        return _unchecked(subject)
    topics: dict[Topic, Coroutine[Any, Any, TopicFinding | None]] = {
        Topic.SPF: _spf(subject, names),
        Topic.DKIM: dkim_finding(subject, names),
        Topic.DMARC: dmarc_finding(subject, names),
        Topic.MAIL_SERVERS: mail_server_finding(subject, names),
        Topic.REVERSE_DNS: reverse_finding(subject, names),
    }
    answers = await asyncio.gather(*(_in_time(asked, deadline) for asked in topics.values()))
    findings = [
        TopicFinding(topic, _LATE, is_known=False) if answer is False else answer
        for topic, answer in zip(topics, answers, strict=True)
    ]
    known = tuple(finding for finding in findings if finding is not None)
    return DomainCheck(subject.connection, subject.sender_domain, known)


async def _in_time(asking: Coroutine[Any, Any, Any], deadline: float) -> Any:
    """Return an answer; False if there is none in time."""
    try:
        async with asyncio.timeout_at(deadline):
            return await asking
    except (TimeoutError, Unknown):
        return False


async def _spf(subject: Subject, names: Names) -> TopicFinding:
    reading, server = await asyncio.gather(
        read_spf(subject.return_domain, names), server_addresses(subject, names)
    )
    return spf_finding(subject, reading, server)


def _unchecked(subject: Subject) -> DomainCheck:
    return _unasked(subject, _EXAMPLE if subject.sender_domain else _NO_SENDER)


def _unasked(subject: Subject, remark: str, *, is_unknown: bool = False) -> DomainCheck:
    """Return what can be said without DNS."""
    warning = alignment_warning(subject) if subject.sender_domain else None
    findings = [TopicFinding(Topic.DKIM, remark, (warning,))] if warning else []
    return DomainCheck(
        subject.connection, subject.sender_domain, findings, remark, is_unknown=is_unknown
    )
