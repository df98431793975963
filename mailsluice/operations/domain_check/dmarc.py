"""Read DMARC records (RFC 7489), and tell whether the mail can align."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mailsluice.core.organisation import is_aligned, organisational_domain
from mailsluice.operations.domain_check.dkim_records import tags_of
from mailsluice.operations.domain_check.finding import Topic, TopicFinding, excerpt
from mailsluice.operations.domain_check.names import Names
from mailsluice.operations.domain_check.subject import Subject

_POLICIES = ("none", "quarantine", "reject")


async def dmarc_finding(subject: Subject, names: Names) -> TopicFinding:
    """Find the record of the sender's domain, else of its organisation's. Raises Unknown."""
    domain = subject.sender_domain
    organisation = organisational_domain(domain)
    for owner in dict.fromkeys((domain, organisation)):
        texts = await names.texts(f"_dmarc.{owner}")
        records = [text for text in texts if _version(text) == "DMARC1"]
        if records:
            return judged(subject, owner, records)
    warning = (
        f"{domain} has no DMARC record, and Gmail, Yahoo and Microsoft require one of bulk senders:"
        f" publish _dmarc.{organisation} TXT v=DMARC1; p=none; rua=mailto:YOUR-ADDRESS"
    )
    return TopicFinding(Topic.DMARC, f"no record at _dmarc.{organisation}", (warning,))


def _version(text: str) -> str:
    return tags_of(text.partition(";")[0]).get("v", "")


def judged(subject: Subject, owner: str, records: list[str]) -> TopicFinding:
    """Judge the records at `_dmarc.<owner>`. Pure."""
    place = f"_dmarc.{owner}"
    if len(records) > 1:
        warning = f"{place} has {len(records)} DMARC records, so that none counts: leave one"
        return TopicFinding(Topic.DMARC, f"{len(records)} records at {place}", (warning,))
    tags = tags_of(records[0])
    name = "sp" if owner != subject.sender_domain and "sp" in tags else "p"
    policy = tags.get(name, "").lower()
    if policy not in _POLICIES:
        warning = (
            f"the DMARC record at {place} has no valid {name} ({excerpt(records[0])}): write"
            f" {name}=none, quarantine or reject"
        )
        return TopicFinding(Topic.DMARC, f"no policy at {place}", (warning,))
    reports = "reports are sent" if tags.get("rua") else "no reports: add rua=mailto:YOUR-ADDRESS"
    note = f"policy {policy} at {place}; {reports}"
    return TopicFinding(Topic.DMARC, note, tuple(_alignment(subject, tags, policy)))


def _alignment(subject: Subject, tags: Mapping[str, str], policy: str) -> Iterator[str]:
    """Warn where neither SPF nor our DKIM signature can align with the sender.

    A provider may sign for the sender's domain, which DNS does not tell.
    """
    domain, signing = subject.sender_domain, subject.dkim.domain
    by_spf = _aligns(domain, subject.return_domain, tags.get("aspf", "r"))
    by_dkim = signing is not None and _aligns(domain, signing, tags.get("adkim", "r"))
    if by_dkim or (by_spf and not _is_replaced(subject)):
        return
    if signing is None and subject.provider is not None:
        return  # whose own DKIM decides: the finding about DKIM tells
    mode = " strictly, as its record says" if "s" in (tags.get("aspf"), tags.get("adkim")) else ""
    what = {"reject": "is refused", "quarantine": "counts as spam"}.get(policy, "fails DMARC")
    signed = f"signed for {signing}" if signing else "not signed here"
    yield (
        f"neither SPF (return path at {subject.return_domain}) nor DKIM"
        f" ({signed}) aligns with {domain}{mode}: mail {what}; use a return path at {domain}, or"
        " sign with a key of it"
    )


def _aligns(domain: str, other: str, mode: str) -> bool:
    return domain == other if mode.lower() == "s" else is_aligned(domain, other)


def _is_replaced(subject: Subject) -> bool:
    return subject.provider is not None and subject.provider.replaces_return_path
