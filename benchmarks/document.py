"""The campaign that is measured: its message, of a given size, and its recipients."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from benchmarks.results import FOLDER
from mailsluice.campaign import Message
from mailsluice.message import compile_message

DAY = date(2026, 1, 5)  # that the campaigns are scheduled for
COLUMNS = ("email", "first_name", "city")
SAMPLE = {"first_name": "Zoe", "city": "Lisbon"}
_DOMAINS = (*["example.com"] * 4, *["example.org"] * 3, *(f"d{i}.example.net" for i in range(13)))
_CITIES = ("Lisbon", "Oslo", "Graz", "Gent", "Brno", "Cork", "Bari", "Pune")
_LINE = "Everything on this page is on offer until Sunday, as long as there is any.\n"
_PARAGRAPH = (
    "Für alle, die früh bestellen, gibt es bis Sonntag auf jedes Stück dieser Seite einen Nachlaß; "
    "größere Mengen verschicken wir ohne Aufpreis nach Österreich und in die Schweiz. "
) * 3


def message(size: int, *, is_newsletter: bool = False) -> dict[str, Any]:
    """A personalised message, HTML and text, of about `size` bytes on the wire.

    A newsletter is outside of ASCII, has long lines and a condition; else the text is ASCII in
    short lines.
    """
    if is_newsletter:
        fields = _newsletter(1)
        paragraph = len(sample(_newsletter(2))) - len(sample(fields))
        return _newsletter(max(1, (size - len(sample(fields))) // paragraph + 1))
    spare = size - len(sample(_message(0)))
    return _message(max(0, spare) * len(_LINE) // (len(_LINE) + 1))  # a line break is two bytes


def sample(fields: dict[str, Any]) -> bytes:
    """The complete message of one recipient."""
    compiled = compile_message(
        Message(**fields), campaign="sample", columns=COLUMNS, now=lambda: datetime.now(UTC)
    )
    return compiled.render(1, "user@example.com", SAMPLE).content


def fixed_parts(fields: dict[str, Any]) -> dict[str, str]:
    """Subject, text and HTML of one recipient, which the peers send repeatedly."""
    parts = {name: str(fields[name]) for name in ("subject", "text", "html")}
    for name, value in SAMPLE.items():
        parts = {part: text.replace("{{ " + name + " }}", value) for part, text in parts.items()}
    return parts


def sample_file(size: int, *, is_newsletter: bool = False) -> Path:
    """Write the sample to a file."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{'newsletter' if is_newsletter else 'message'}-{size}.eml"
    path.write_bytes(sample(message(size, is_newsletter=is_newsletter)))
    return path


def recipients_file(number: int) -> Path:
    """A CSV file with so many recipients at 15 domains, written once."""
    path = FOLDER / "data" / f"recipients-{number}.csv"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(",".join(COLUMNS) + "\n")
            places = zip(range(number), itertools.cycle(_DOMAINS), strict=False)
            file.writelines(
                f"user{i}@{domain},Name{i % 5000},{_CITIES[i % len(_CITIES)]}\n"
                for i, domain in places
            )
        unfinished.rename(path)
    return path


def campaign(
    name: str,
    recipients: int,
    size: int,
    connections: list[str],
    *,
    is_newsletter: bool = False,
) -> dict[str, Any]:
    """The campaign's document, over one connection, or half and half over two."""
    share = {} if len(connections) == 1 else {"percent": 100 // len(connections)}
    return {
        "name": name,
        "recipients": {"path": str(recipients_file(recipients))},
        "message": message(size, is_newsletter=is_newsletter),
        "strategy": "percentage" if share else "single",
        "routes": [{"connection": one, **share} for one in connections],
    }


def _newsletter(paragraphs: int) -> dict[str, Any]:
    """A message beyond ASCII, whose paragraphs are long lines, as editors write them."""
    text = f"{_PARAGRAPH}\n\n" * paragraphs
    html = f"<p>{_PARAGRAPH}</p>\n" * paragraphs
    return {
        "sender": "News <news@example.com>",
        "subject": "{{ first_name }}, der Frühling ist da",
        "text": f"Grüß Gott, {{{{ first_name }}}},\nbis bald in {{{{ city }}}}.\n{text}",
        "html": "<h1>Grüß Gott, {{ first_name }}</h1>\n"
        "{% if city == 'Graz' %}<p>Auch bei Ihnen um die Ecke!</p>{% endif %}\n"
        f"<p>Bis bald in <b>{{{{ city }}}}</b>.</p>\n{html}",
    }


def _message(filler: int) -> dict[str, Any]:
    text = (_LINE * (filler // len(_LINE) + 1))[: filler * 2 // 5]
    html = (_LINE * (filler // len(_LINE) + 1))[: filler - filler * 2 // 5]
    return {
        "sender": "News <news@example.com>",
        "subject": "{{ first_name }}, the spring sale is on",
        "text": f"Hello {{{{ first_name }}}},\nsee you in {{{{ city }}}}.\n{text}\n",
        "html": f"<h1>Hello {{{{ first_name }}}}</h1>\n<p>In <b>{{{{ city }}}}</b>.</p>\n"
        f"<p>{html}</p>\n",
    }
