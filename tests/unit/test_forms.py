"""Documents: characters that are refused, and errors for the person who fills in a form."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mailsluice.campaign import Campaign
from mailsluice.core.forms import in_words

SMALL: dict[str, Any] = {
    "name": "spring-sale",
    "recipients": {"path": "recipients.csv"},
    "message": {"sender": "News <news@example.com>", "subject": "Hi", "text": "Hello"},
    "routes": [{"connection": "sendgrid"}],
}


def changed(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """Return the small document with a value changed at any depth."""
    document: dict[str, Any] = {
        **SMALL,
        "recipients": {**SMALL["recipients"]},
        "message": {**SMALL["message"], "headers": [{"name": "X-A", "value": "b"}]},
        "routes": [{**SMALL["routes"][0]}],
        "sending_window": {"days": "Mon-Fri"},
        "exclude": {"path": "others.csv"},
    }
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


def error_of(document: dict[str, Any]) -> str:
    """Return the error that the person who filled in the document reads."""
    with pytest.raises(ValidationError) as caught:
        Campaign.model_validate(document)
    return in_words(caught.value)


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (("message", "subject"), "message > subject"),
        (("message", "text"), "message > text"),
        (("message", "html"), "message > html"),
        (("message", "sender"), "message > sender"),
        (("message", "reply_to"), "message > reply_to"),
        (("message", "return_path"), "message > return_path"),
        (("message", "unsubscribe_url"), "message > unsubscribe_url"),
        (("message", "headers", 0, "name"), "message > headers > no. 1 > name"),
        (("message", "headers", 0, "value"), "message > headers > no. 1 > value"),
        (("recipients", "path"), "recipients > path"),
        (("recipients", "email_column"), "recipients > email_column"),
        (("recipients", "encoding"), "recipients > encoding"),
        (("recipients", "delimiter"), "recipients > delimiter"),
        (("exclude", "path"), "exclude > path"),
        (("routes", 0, "connection"), "routes > no. 1 > connection"),
        (("sending_window", "days"), "sending_window > days"),
        (("sending_window", "timezone"), "sending_window > timezone"),
    ],
)
def test_u0000_is_refused_in_every_field(path: tuple[str | int, ...], where: str) -> None:
    assert f"{where}: character 2 is U+0000, which no text can hold" in error_of(
        changed(path, "a\0b")
    )


def test_u0000_is_refused_in_a_query_and_in_a_list() -> None:
    document = changed(("recipients",), {"query": "select\0", "database": "d"})
    assert "recipients > query: character 7 is U+0000" in error_of(document)
    document = changed(("message", "attachments"), ["a.pdf", "b\0.pdf"])
    assert "message > attachments: character 2 of item 2 is U+0000" in error_of(document)


def test_half_of_a_character_is_refused() -> None:
    assert "message > subject: this contains half of a character" in error_of(
        changed(("message", "subject"), "a\ud800")
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({**SMALL, "routes": []}, "routes: this list is empty: add an item"),
        ({**SMALL, "colour": 1}, "colour: there is no such field: correct its name, or leave it"),
        ({**SMALL, "name": 5}, "name: this must be text"),
        ({**SMALL, "message": "hello"}, "message: this must be a group of fields"),
        ({**SMALL, "message": {"subject": "Hi"}}, "message > sender: this is missing: fill it in"),
        (
            changed(("routes", 0, "percent"), 101),
            "routes > no. 1 > percent: Input should be less than or equal to 100",
        ),
        (
            {
                **SMALL,
                "strategy": "percentage",
                "routes": [
                    {"connection": "a", "percent": 70},
                    {"connection": "b", "percent": 40},
                ],
            },
            "percentages add up to 110, not 100: lower one of them by 10",
        ),
    ],
)
def test_errors_name_the_field_and_the_fix(document: dict[str, Any], words: str) -> None:
    text = error_of(document)
    assert text.startswith(words)
    for jargon in ("Value error", "type=", "pydantic", "https://", "input_value"):
        assert jargon not in text


def test_errors_beyond_the_first_ten_are_counted() -> None:
    document = changed(("routes",), [{"connection": f"c{i}", "percent": 101} for i in range(15)])
    assert error_of(document).endswith("; and 5 more")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("batch_size",), True, "batch_size: write a number, not true or false"),
        (("throttle",), {"per_hour": True}, "throttle > per_hour: write a number, not true"),
        (("spread_over",), True, "spread_over: write a number"),
        (("spread_over",), 1e9, "spread_over: this number is too large, or has too many digits"),
    ],
)
def test_what_is_no_number_or_too_large_is_refused(
    path: tuple[str | int, ...], value: Any, message: str
) -> None:
    assert message in error_of(changed(path, value))
