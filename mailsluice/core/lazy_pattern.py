"""Large regular expressions that few runs need, compiled at their first use."""

from __future__ import annotations

import re
from functools import cached_property


class LazyPattern:
    """Alternatives of a regular expression, without regard to case."""

    def __init__(self, *alternatives: str) -> None:
        self._alternatives = alternatives

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The regular expression."""
        return re.compile("|".join(self._alternatives), re.IGNORECASE)

    def search(self, text: str) -> re.Match[str] | None:
        """Find the first of the alternatives in a text."""
        return self.compiled.search(text)
