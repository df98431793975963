"""Compare DKIM records with the keys of a connection (RFC 6376 section 3.6.1)."""

from __future__ import annotations

from mailsluice.mailbox_providers.mail_hosts import Unknown
from mailsluice.operations.domain_check.finding import Topic, TopicFinding, excerpt
from mailsluice.operations.domain_check.names import Names
from mailsluice.operations.domain_check.subject import Subject, alignment_warning


def tags_of(record: str) -> dict[str, str]:
    """Return the tags of a `name=value; ...` record, values without spaces around them."""
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): value.strip() for name, separator, value in pairs if separator}


async def dkim_finding(subject: Subject, names: Names) -> TopicFinding:
    """Check the records of our own keys, else those of the provider. Raises Unknown."""
    if subject.dkim.is_used:
        return await _own(subject, names)
    provider = subject.provider
    if provider is None or not provider.selectors:
        who = provider.title if provider else "the server"
        note = f"Mailsluice does not sign here, and the selectors of {who} are not known"
        return TopicFinding(Topic.DKIM, note, is_known=False)
    found = [
        selector
        for selector in provider.selectors
        if await names.texts(f"{selector}._domainkey.{subject.sender_domain}")
    ]
    if found:
        return TopicFinding(Topic.DKIM, f"{provider.title} signs by {', '.join(found)}")
    usual = ", ".join(provider.selectors)
    warning = (
        f"{subject.sender_domain} has no DKIM record of {provider.title} (selectors {usual}):"
        " authenticate the domain there, and publish the records that it shows"
    )
    return TopicFinding(Topic.DKIM, f"no record for the selectors {usual}", (warning,))


async def _own(subject: Subject, names: Names) -> TopicFinding:
    warnings, notes, records = [], [], []
    if warning := alignment_warning(subject):
        warnings.append(warning)
    for selector, secret in subject.dkim.signatures:
        name = subject.dkim.record_name(selector)
        try:
            texts = await names.texts(name)
        except Unknown:
            notes.append(f"{name} could not be looked up")
            continue
        if fault := record_fault(name, texts, secret.get_secret_value()):
            warnings.append(fault)
            notes.append(f"{name}: see the warnings")
            records.append(f"{name} TXT {key_record(secret.get_secret_value())}")
        else:
            notes.append(f"{name} has the key that signs")
        if short := weakness(name, secret.get_secret_value()):
            warnings.append(short)
    return TopicFinding(Topic.DKIM, ", ".join(notes), tuple(warnings), records=tuple(records))


def key_record(private_key: str) -> str:
    """Return the record to publish for a private key."""
    from mailsluice.smtp.dkim.keys import read_key, record

    return record(read_key(private_key))


def record_fault(name: str, texts: list[str], private_key: str) -> str | None:
    """Return what keeps signatures of a private key from verifying, with the remedy. Pure."""
    from mailsluice.smtp.dkim.keys import public_key, read_key, record

    key = read_key(private_key)
    publish = "publish the record that verify-connection shows"
    records = [tags for text in texts if "p" in (tags := tags_of(text))]
    if not records:
        return f"receivers cannot verify the signature, since {name} has no DKIM record: {publish}"
    if len(records) > 1:
        return f"{name} has {len(records)} DKIM records, so that either may be used: leave one"
    tags = records[0]
    published = "".join(tags["p"].split())
    if not published:
        return f"the key at {name} is revoked (its p= is empty): {publish}"
    if published != public_key(key) or tags.get("k", "rsa") != _kind(record(key)):
        return f"{name} has another key than the one that signs: {publish}"
    if tags.get("v", "DKIM1") != "DKIM1" or "sha256" not in tags.get("h", "sha256").split(":"):
        return f"the record at {name} is not accepted ({excerpt(texts[0])}): {publish}"
    return None


def _kind(record: str) -> str:
    return tags_of(record)["k"]


def weakness(name: str, private_key: str) -> str | None:
    """Warn of a key that receivers accept for now."""
    from mailsluice.smtp.dkim.keys import ADVISED_BITS, read_key

    bits = getattr(read_key(private_key), "key_size", ADVISED_BITS)
    if bits >= ADVISED_BITS:
        return None
    return f"the key of {name} has {bits} bits: change to one of {ADVISED_BITS}, as Gmail advises"
