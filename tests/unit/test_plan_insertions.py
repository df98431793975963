"""Variables that a message inserts without handling empty values."""

from __future__ import annotations

import pytest

from mailsluice.campaign import Message
from mailsluice.operations.plan.insertions import inserted_columns


@pytest.mark.parametrize(
    ("template", "bare"),
    [
        ("Hi", []),
        ("Hi {{ a }}", ["a"]),
        ("Hi {{ a|upper }} {{ b }}", ["a", "b"]),
        ("Hi {{ first_name }}", ["First Name"]),  # by its slug
        ("Hi {{ email }}", []),
        ("Hi {{ a or 'you' }}", []),
        ("Hi {{ a|default('you', true) }}", []),
        ("Hi {{ a|default('you', boolean=true) }}", []),
        ("Hi {{ a|default('you') }}", ["a"]),  # for what is missing, not for what is empty
        ("{% if a %}Hi {{ a }}{% else %}{{ b }}{% endif %}", ["b"]),
        ("{{ a if a else 'you' }}", []),
        ("{{ 'you' if not a else a }}", []),
        ("{{ a or b }}", ["b"]),
        ("{% if a and b %}{{ a }}{{ b }}{% endif %}", []),
        ("{% if a %}{{ a }}{% endif %} {{ a }}", ["a"]),  # once is enough
        ("{% set c = a %}{{ c or '' }}", ["a"]),
    ],
)
def test_a_variable_is_reported_unless_the_template_handles_its_emptiness(
    template: str, bare: list[str]
) -> None:
    message = Message(sender="news@example.com", subject="Hi", text=template)
    assert inserted_columns(message, ["a", "b", "First Name", "unused"]) == bare


def test_all_templates_of_the_message_are_checked() -> None:
    message = Message(
        sender="news@example.com",
        subject="{{ a }}",
        html="{{ b }}",
        text="{{ c }}",
        unsubscribe_url="https://example.com/{{ d }}",
    )
    assert inserted_columns(message, "abcde") == ["a", "b", "c", "d"]
