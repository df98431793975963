"""The text made from the HTML."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from html2text import HTML2Text
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.campaign import Message
from mailsluice.core.errors import MessageError
from mailsluice.message import compile_message
from mailsluice.message import text as text_module
from mailsluice.message.templates import Template, TemplateField
from mailsluice.message.text import TextFromHtml, html_to_text

NAMES = {"name", "city", "url", "items", "email"}
PAGE = (
    "<html><head><title>T</title><style>p{color:red}</style></head><body>\n"
    "<h1>Hello {{ name }}</h1><p>From <b>{{ city }}</b>, <i>with {{ name }}</i>: "
    '<a href="https://x.example/{{ city|urlencode }}">click</a>'
    ' <a href="{{ url }}">{{ url }}</a></p>'
    "{% if city %}<ul>{% for one in items.split() %}<li>{{ one }} of {{ city }}</li>{% endfor %}"
    "</ul>{% endif %}<table><tr><td>{{ name }}</td></tr></table></body></html>"
)
words = st.from_regex(r"[A-Za-z][A-Za-z0-9é]{0,8}", fullmatch=True)


@settings(deadline=None)
@given(name=words | st.just(""), city=words | st.just(""), items=st.lists(words, max_size=3))
def test_the_text_equals_the_converted_html(name: str, city: str, items: list[str]) -> None:
    row = {
        "name": name,
        "city": city,
        "items": " ".join(items),
        "url": f"https://x.example/?a={name}&b=1",
        "email": "a@example.com",
    }
    rendered = Template(TemplateField.HTML, PAGE, NAMES).fill(row)
    assert TextFromHtml().render(rendered) == html_to_text("".join(rendered.pieces))


def test_values_are_inserted_unescaped() -> None:
    row = {"name": "<b>&amp; *x* \\ 2. "}
    rendered = Template(TemplateField.HTML, "<p>1. {{ name }}</p>", NAMES).fill(row)
    assert TextFromHtml().render(rendered) == "1. <b>&amp; *x* \\ 2. \n"


def test_inserted_html_is_converted() -> None:
    row = {"name": "a<br>b<p>c &amp;"}
    rendered = Template(TemplateField.HTML, "<p>{{ name|safe }}</p>", NAMES).fill(row)
    assert TextFromHtml().render(rendered) == "a\nb\n\nc &\n"


def test_the_html_is_converted_once_for_each_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    converted: list[str] = []

    def convert(source: str) -> str:
        converted.append(source)
        return source

    monkeypatch.setattr(text_module, "html_to_text", convert)
    template = Template(TemplateField.HTML, "{% if city %}{{ city }}:{% endif %}{{ name }}", NAMES)
    made = TextFromHtml()
    texts = [
        made.render(template.fill({"name": name, "city": city}))
        for city in ("", "Rome", "Oslo")
        for name in ("Anna", "Bo")
    ]
    assert texts == ["Anna", "Bo", "Rome:Anna", "Rome:Bo", "Oslo:Anna", "Oslo:Bo"]
    assert len(converted) == 2


def test_unreadable_html_is_refused_before_the_first_mail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_converter: HTML2Text, _source: str) -> None:
        raise AssertionError("as html.parser does for <![x]>, in some versions of Python")

    monkeypatch.setattr(HTML2Text, "feed", refuse)
    message = Message(sender="a@example.com", subject="s", html="<![x]>")
    with pytest.raises(MessageError, match="html: no text can be made"):
        compile_message(message, campaign="c", columns=(), now=lambda: datetime.now(UTC))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>- 20 %</p><p>3. May</p>+ you", "- 20 %\n\n3. May\n\n+ you\n"),  # no backslashes
        ("<b>now</b> <em>&rsquo;é</em>", "now ’é\n"),
        ("a<br>b<br/>c", "a\nb\nc\n"),
        ("<ul><li>a</li><li>b</li></ul>", "  * a\n  * b\n"),
        ("<img src=x alt=Logo><img src=pixel>z", "Logoz\n"),
        ("<head><style>p{}</style><title>t</title></head><p>x</p><script>y</script>", "x\n"),
        (
            "x<table><tr><td>Sum</td><td>5</td></tr>"
            "<tr><th>Tax</th> <td><p>1</p></td></tr></table>y",
            "x\n\nSum 5\nTax\n\n1\n\ny\n",
        ),
        ("", "\n"),
    ],
)
def test_the_text_has_no_markdown_escapes(source: str, expected: str) -> None:
    assert html_to_text(source) == expected
