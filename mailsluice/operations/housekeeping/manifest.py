"""The manifest of an archive: its campaign, and the rows and digests of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from mailsluice.core.private import private_file

NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class PartFile:
    """One file of an archive."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of one campaign's archive."""

    campaign_id: int
    campaign: str
    created_at: float
    """When the campaign was created, which distinguishes campaigns with equal name and id."""
    counts: Mapping[str, Mapping[str, int]]
    """Recipients by connection and status."""
    files: Mapping[str, PartFile]
    """By file name."""

    def write(self, folder: Path) -> str:
        """Write the manifest into the folder. Returns its digest."""
        text = orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        private_file(folder / NAME)
        (folder / NAME).write_bytes(text)
        return hashlib.sha256(text).hexdigest()

    @classmethod
    def read(cls, folder: Path) -> tuple[Manifest, str]:
        """Read a folder's manifest and its digest. Raises OSError or ValueError without one."""
        text = (folder / NAME).read_bytes()
        values = orjson.loads(text)
        try:
            files = {name: PartFile(**file) for name, file in values.pop("files").items()}
            return cls(**values, files=files), hashlib.sha256(text).hexdigest()
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{folder / NAME} is not the manifest of an archive: {error}"
            ) from error


def sha256(path: Path) -> str:
    """The digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
