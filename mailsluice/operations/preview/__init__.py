"""The message of a campaign as a few of its recipients would get it, to be read in a browser."""

from mailsluice.operations.preview.messages import Field, MessagePreview, ShownMessage

__all__ = ["Field", "MessagePreview", "ShownMessage"]
