"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("mailsluice", deadline=None)  # no test fails on a clock
settings.load_profile("mailsluice")
