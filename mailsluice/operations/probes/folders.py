"""Which folders of a mailbox hold the inbox, spam, and other mail. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mailsluice.bounces.imap import Folder
from mailsluice.operations.probes.delivered import Placement

MOST_FOLDERS = 50
"""Folders that are looked at in a mailbox, the inbox and spam first."""
_SPAM = re.compile(
    r"(?:.*[/.])?(?:spam|junk|junk ?e-?mail|junk mail|bulk(?: mail)?|spamverdacht|unerwünscht"
    r"|courrier indésirable|correo no deseado|posta indesiderata|ongewenste e-mail)",
    re.IGNORECASE,
)
_OWN = {r"\sent", r"\drafts", r"\flagged", r"\important", r"\noselect", r"\nonexistent"}
"""Folders that no arriving mail is found in alone (RFC 6154 section 2, RFC 8457)."""


def folders_by_use(
    listed: Sequence[Folder], inbox: str, spam: str = ""
) -> list[tuple[str, Placement]]:
    """Return the folders to look for copies in, with what each of them is.

    The archive of all mail comes last, since it also holds the mail of the other folders.

    Args:
        listed: The folders of the mailbox, as the server lists them.
        inbox: The name of the inbox in the mailbox's block.
        spam: The name of the spam folder in the block. Empty: the folder that the server marks as
            \\Junk (RFC 6154), or, where it marks none, those with a usual name.
    """
    marked = {folder.name for folder in listed if r"\junk" in folder.attributes}
    named = {folder.name for folder in listed if _SPAM.fullmatch(folder.name[:200])}
    junk = {spam} if spam else marked or named
    usable = [folder for folder in listed if not folder.attributes & _OWN]
    usable.sort(key=lambda folder: r"\all" in folder.attributes)
    others = [
        folder.name
        for folder in usable
        if folder.name not in junk and folder.name.casefold() != inbox.casefold()
    ]
    chosen = [(inbox, Placement.INBOX), *((name, Placement.SPAM) for name in sorted(junk))]
    return [*chosen, *((name, Placement.OTHER) for name in others)][:MOST_FOLDERS]
