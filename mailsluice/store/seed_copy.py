"""Copies of seed tests, as the table has them. Pure."""

from __future__ import annotations

from typing import NamedTuple


class SeedCopy(NamedTuple):
    """The fate of one copy of a seed test."""

    connection: str
    probe: str
    provider: str
    placement: str
    delay_seconds: float | None
    spf: str = ""
    dkim: str = ""
    dmarc: str = ""
    tls: str = ""


class StoredSeed(NamedTuple):
    """The part of a stored copy that trends need."""

    at: float
    connection: str
    placement: str
    delay_seconds: float | None
