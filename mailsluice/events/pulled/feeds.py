"""The providers whose APIs list events. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mailsluice.campaign.identity import Provider
from mailsluice.events.pulled import brevo, mailgun, postmark, sparkpost
from mailsluice.events.pulled.page import Feed

FEEDS: Mapping[Provider, Feed] = {
    Provider.MAILGUN: mailgun.FEED,
    Provider.SPARKPOST: sparkpost.FEED,
    Provider.POSTMARK: postmark.FEED,
    Provider.BREVO: brevo.FEED,
}
"""All but Amazon SES, whose events wait in a queue (`mailsluice.events.pulled.sqs`)."""
