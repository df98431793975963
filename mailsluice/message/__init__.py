"""The message: templates that are compiled once and filled in for each recipient."""

from mailsluice.message.attachments import attachment_digests
from mailsluice.message.compiled import CompiledMessage, compile_message
from mailsluice.message.identity import ascii_domain, message_id, message_ids, new_key

__all__ = [
    "CompiledMessage",
    "ascii_domain",
    "attachment_digests",
    "compile_message",
    "message_id",
    "message_ids",
    "new_key",
]
