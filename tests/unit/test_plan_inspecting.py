"""Checking a message by rendering it: warnings and preview."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mailsluice.operations.plan.inspecting import MessageCheck, check_message
from tests.unit.test_assignment import campaign
from tests.unit.test_audience_sample import resolved

ROWS = [
    ["email", "name", "size"],
    ["a@x.example.com", "Ann", "1"],
    ["b@x.example.com", "", "0"],  # by zero: cannot be rendered
    ["c@x.example.com", "", "120"],
]
MESSAGE = {
    "sender": "news@example.com",
    "subject": "Hi {{ name }}",
    "html": "<p>{{ 'x' * (1024 * size|int) }} {{ 1 // size|int }}</p><p>{{ email }}</p>",
    "unsubscribe_url": "https://example.com/{{ email }}",
}


def inspected(tmp_path: Path, order: list[int], looked_at: int = 1_000) -> MessageCheck:
    document = campaign(routes=[{"connection": "a"}], message=MESSAGE)
    with resolved(tmp_path, ROWS) as audience:
        over = ["a"] * min(len(order), looked_at)
        return check_message(document, audience, np.array(order), over, document.identities({}))


def test_warnings_count_checked_recipients_and_empty_values_all_recipients(tmp_path: Path) -> None:
    found = inspected(tmp_path, [0, 1, 2])
    assert [warning.partition(":")[0] for warning in found.warnings] == [
        "the message cannot be rendered for 1 of 3 checked recipients, which will fail",
        "'name' is empty for 2 of 3 recipients",
        "the HTML has up to 125 kB, over 102 kB for 1 of 3 checked recipients",  # soft breaks count
    ]
    assert "@" not in "".join(found.warnings)


def test_the_preview_shows_the_first_recipient_that_can_be_rendered(tmp_path: Path) -> None:
    shown = inspected(tmp_path, [1, 0, 2]).preview
    assert shown
    assert shown.subject == "Hi Ann"
    assert shown.html
    assert shown.html.endswith(" 1</p><p><address></p>")
    assert shown.size_bytes > 2 * 1_024  # HTML and the text made from it


def test_each_recipients_message_has_the_identity_of_its_connection(tmp_path: Path) -> None:
    """Of two connections one has an unsubscribe address and a header, which needs a value."""
    message = {"sender": "a@example.com", "subject": "Hi", "text": "Hello {{ email }}"}
    identity = {
        "sender": "b@gmail.com",
        "unsubscribe_url": "https://example.com/{{ size }}",
        "headers": [{"name": "X-Name", "value": "{{ name }}"}],
    }
    document = campaign(
        strategy="round_robin",
        routes=[{"connection": "a"}, {"connection": "b", "identity": identity}],
        message=message,
    )
    with resolved(tmp_path, ROWS) as audience:
        found = check_message(
            document, audience, np.array([0, 1, 2]), ["a", "b", "b"], document.identities({})
        )
    assert [warning.partition(":")[0] for warning in found.warnings] == [
        "the sender is at gmail.com, whose mail may come from its own servers only",
        "header X-Name is empty for 2 of 3 checked recipients, whose mail is sent without it",
        "there is no way to unsubscribe, neither in the header nor in the text",
    ]
    assert found.preview
    assert found.preview.connection == "a"


def test_without_a_rendered_message_there_is_no_preview(tmp_path: Path) -> None:
    found = inspected(tmp_path, [1, 0, 2], looked_at=1)
    assert found.preview is None
    assert found.warnings[0].startswith(
        "the message cannot be rendered for 1 of 1 checked recipients, which will fail: row 2: "
    )


def test_an_empty_audience_has_no_preview(tmp_path: Path) -> None:
    document = campaign(routes=[{"connection": "a"}], message=MESSAGE)
    with resolved(tmp_path, [ROWS[0], ["gone@x.example.com", "", ""]]) as audience:
        found = check_message(
            document, audience, np.array([], np.int64), [], document.identities({})
        )
    assert found.preview is None
    assert found.warnings == []


@pytest.mark.parametrize(
    ("organizer", "image", "warned"),
    [
        ("News@example.com", "logo.png", []),
        ("boss@example.com", "logo.png", ["the ORGANIZER of the calendar is another address"]),
        ("news@example.com", "cat.png", ["the HTML does not show 'cat.png'"]),
    ],
)
def test_unused_images_and_another_organizer_are_told(
    tmp_path: Path, organizer: str, image: str, warned: list[str]
) -> None:
    (tmp_path / image).write_bytes(b"\x89PNG")
    event = f"BEGIN:VEVENT\nORGANIZER;CN=News:mailto:{organizer}\nEND:VEVENT"
    calendar = f"BEGIN:VCALENDAR\nMETHOD:REQUEST\n{event}\nEND:VCALENDAR\n"
    (tmp_path / "launch.ics").write_text(calendar)
    html = "<p>Unsubscribe, or read this: " + "words and more words " * 10 + "</p>"
    shown = '<img src="cid:logo.png" alt="">' if image == "logo.png" else ""
    message = {
        "sender": "News <news@example.com>",
        "subject": "Hi",
        "html": html + shown,
        "inline_images": [str(tmp_path / image)],
        "calendar": str(tmp_path / "launch.ics"),
    }
    document = campaign(routes=[{"connection": "a"}], message=message)
    with resolved(tmp_path, ROWS) as audience:
        found = check_message(document, audience, np.array([0]), ["a"], document.identities({}))
    assert [text for text in found.warnings if "boss" in text] == []
    about_files = [text for text in found.warnings if "ORGANIZER" in text or "does not" in text]
    assert [text[: len(start)] for text, start in zip(about_files, warned, strict=True)] == warned
