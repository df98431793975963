"""What is wrong with a message, seen before it is sent."""

from mailsluice.lint.inspecting import inspect
from mailsluice.lint.preview import Preview

__all__ = ["Preview", "inspect"]
