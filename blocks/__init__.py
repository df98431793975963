"""What Prefect stores for Mailsluice, and the form in which it asks for a campaign."""

from blocks.form import CampaignForm
from blocks.mailbox import Mailbox
from blocks.smtp_connection import SMTPConnection

__all__ = ["CampaignForm", "Mailbox", "SMTPConnection"]
