"""Where events come from: a connection, its provider, and what proves that it is the provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mailsluice.campaign.identity import Provider
from mailsluice.events.batch import Batch
from mailsluice.events.providers import (
    brevo,
    generic,
    mailgun,
    mailjet,
    postmark,
    sendgrid,
    ses,
    sparkpost,
)
from mailsluice.events.signatures import ecdsa_key, signing_secret

READERS: Mapping[Provider, Callable[[bytes], Batch]] = {
    Provider.SENDGRID: sendgrid.read,
    Provider.SES: ses.read,
    Provider.SPARKPOST: sparkpost.read,
    Provider.MAILGUN: mailgun.read,
    Provider.POSTMARK: postmark.read,
    Provider.BREVO: brevo.read,
    Provider.MAILJET: mailjet.read,
    Provider.NONE: generic.read,
}
"""How the events of each provider are read; those of an unknown one have Mailsluice's format."""

_SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class EventSource:
    """The provider of one connection.

    Raises ValueError if `key` is not what this provider has.
    """

    connection: str
    provider: Provider
    key: str = field(repr=False)
    """SendGrid: the verification key. Mailgun: the webhook signing key. SES: the ARN of the topic.
    Postmark, SparkPost, Brevo, Mailjet: `user:password`, or a token. None: the secret of signed web
    hooks."""

    @property
    def have_tokens(self) -> bool:
        """Whether the connection's messages carry recipient tokens, which its events repeat."""
        return self.provider is not Provider.NONE

    def __post_init__(self) -> None:
        if self.provider is Provider.SENDGRID:
            ecdsa_key(self.key)
        elif self.provider is Provider.SES:
            if not (self.key.startswith("arn:") and ":sns:" in self.key):
                raise ValueError(
                    "this is not the ARN of an SNS topic: copy it from Amazon SNS, where it looks"
                    " like arn:aws:sns:eu-west-1:123456789012:name"
                )
        elif len(signing_secret(self.key)) < _SHORTEST_SECRET:
            raise ValueError(
                f"the events key is too short to be safe: it needs at least {_SHORTEST_SECRET}"
                " characters"
            )
