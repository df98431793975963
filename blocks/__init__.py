"""The blocks that Prefect stores for Mailsluice, and the form of a campaign."""

from blocks.form import CampaignForm
from blocks.mailbox import Mailbox
from blocks.smtp_connection import SMTPConnection

__all__ = ["CampaignForm", "Mailbox", "SMTPConnection"]
