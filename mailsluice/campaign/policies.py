"""A campaign's choices: who sends to which recipients, and what happens after trouble. Pure."""

from __future__ import annotations

from enum import StrEnum


class Strategy(StrEnum):
    """The rule by which recipients are shared out to the connections."""

    SINGLE = "single"
    """One connection sends the whole campaign."""
    PERCENTAGE = "percentage"
    """Each connection has a percentage; together they are exactly 100."""
    ROUND_ROBIN = "round_robin"
    """Each batch of recipients goes to the next connection in the list."""
    THROUGHPUT = "throughput"
    """Each connection claims recipients as fast as it can send, so that the campaign ends soon."""


class RouteLending(StrEnum):
    """Whether a connection sends to recipients of others that would end later."""

    CAMPAIGN = "campaign"
    """As the campaign says."""
    YES = "yes"
    """The connection does, whatever the campaign says."""
    NO = "no"
    """The connection does not, whatever the campaign says."""


class Dispatch(StrEnum):
    """The processes that send the mail."""

    INLINE = "inline"
    """The process of the campaign's run."""
    WORKERS = "workers"
    """Separate runs on Prefect's workers; a connection with many sessions gets several runs."""


class Resolve(StrEnum):
    """How a launch finds out who hosts the recipients' mailboxes."""

    OFF = "off"
    """By a table of consumer domains such as gmail.com, without any network."""
    MX = "mx"
    """By the mail servers (MX records) of every other domain, which name servers are asked for."""


class UncertainPolicy(StrEnum):
    """The treatment of recipients who may or may not have got the mail."""

    HOLD = "hold"
    """Leave them alone until a person decides."""
    RESEND = "resend"
    """Send again: some recipients may get the mail twice."""
    ASSUME_SENT = "assume_sent"
    """Count them as sent: some recipients may not get the mail."""


class DownPolicy(StrEnum):
    """The treatment of the recipients of a connection that is down."""

    HOLD = "hold"
    """The recipients stay pending on their connection; the run ends Failed, for a Retry."""
    REASSIGN = "reassign"
    """Recipients never attempted move to the healthy connections, in proportion to the shares.
    Each recipient's row records the move."""
