"""Templates: variables, errors before the first mail, and errors of a row."""

from __future__ import annotations

import pytest

from mailsluice.core.errors import MessageError
from mailsluice.message.templates import Template, TemplateField
from mailsluice.message.variables import column_names

KNOWN = column_names(["First Name", "city", "amount", "email"])
ROW = {"first_name": "Anna", "city": "Rome", "amount": "12", "email": "anna@example.com"}


def template(source: str, part: TemplateField = TemplateField.HTML) -> Template:
    return Template(part, source, KNOWN)


def test_a_column_has_its_own_name_and_its_slug() -> None:
    names = column_names(
        ["First Name", "city", "2nd-Line", "Été", "A b", "a B", "E Mail", "e_mail"]
    )
    assert names["first_name"] == names["First Name"] == "First Name"
    assert names["city"] == "city"
    assert names["_2nd_line"] == "2nd-Line"
    assert names["été"] == "Été"
    assert "a_b" not in names  # two columns share it
    assert names["e_mail"] == "e_mail"  # a column's own name is that column


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hi {{ frist_name }}", "html, line 1: there is no variable 'frist_name'. Did you mean 'f"),
        ("a\n\n{{ qqqq }}", "html, line 3: there is no variable 'qqqq'. The audience has: First N"),
        ("{{ zip }}{{ age }}", "'age' (and 'zip')"),
        ("{{ nick }}{{ nick|default('') }}", "'nick'"),  # unguarded once
        ("{% if nick is undefined %}{{ nick }}{% endif %}", "'nick'"),  # surely reached
        ("{% if nick is defined %}x{% endif %}{{ nick }}", "'nick'"),
        ("{{ 'a' if nick is defined else nick }}", "'nick'"),
        ("{% for x in nick %}{{ x }}{% endfor %}", "'nick'"),
        ("{{ unsubscribe_url }}", "'unsubscribe_url'"),  # the message has none
        ("{{ lipsum() }}", "'lipsum'"),
        ("Hi\n{{ city", "html, line 2: "),
        ("{% if city %}", "html, line 1: Unexpected end of template"),
        ("{{ city|shout }}", "html, line 1: No filter named 'shout'"),
        ("\n{% include 'footer.html' %}", "html, line 2: a message stands alone"),
        ("{% extends 'base.html' %}", "html, line 1: a message stands alone"),
    ],
)
def test_an_invalid_template_is_refused_when_it_is_compiled(source: str, expected: str) -> None:
    with pytest.raises(MessageError) as caught:
        template(source)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ nick|default('you') }}", "you"),
        ("{{ nick|d }}", ""),
        ("{% if nick is defined %}{{ nick }}{% else %}you{% endif %}", "you"),
        ("{% if nick is defined and nick %}{{ nick }}{% elif city %}{{ city }}{% endif %}", "Rome"),
        ("{{ nick if nick is defined else city }}", "Rome"),
        ("{{ 1 if nick is undefined or nick else 2 }}", "1"),
        ("{% set nick = nick|default(city) %}{{ nick }}", "Rome"),
        ("{% set nick = 'a' %}{% if nick is defined %}{{ nick }}{% endif %}", "a"),
        ("{% for x in [1, 2] %}{{ x }}{{ loop.index }}{% endfor %}", "1122"),
        ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(city) }}", "[Rome]"),
        ("{{ range(3)|join }}", "012"),
        (
            "{{ city|upper }}{{ city|lower }} {{ amount|int * 2 }} {{ city * 2 }}",
            "ROMErome 24 RomeRome",
        ),
        ("{{ email|urlencode }}", "anna%40example.com"),
        ("line\n", "line\n"),
    ],
)
def test_valid_templates_are_rendered(source: str, expected: str) -> None:
    assert template(source).render(ROW) == expected


def test_html_escapes_and_text_does_not() -> None:
    row = {**ROW, "city": "<b>&'\"{{ email }}"}
    assert template("{{ city }}").render(row) == "&lt;b&gt;&amp;&#39;&#34;{{ email }}"
    assert template("{{ city }}", TemplateField.TEXT).render(row) == row["city"]
    # the same through Jinja's own rendering, not the shortcut for simple templates
    assert template("{% if 1 %}{{ city }}{% endif %}").render(row) == (
        "&lt;b&gt;&amp;&#39;&#34;{{ email }}"
    )
    assert (
        template("{% if 1 %}{{ city }}{% endif %}", TemplateField.TEXT).render(row) == row["city"]
    )


@pytest.mark.parametrize("part", [TemplateField.HTML, TemplateField.TEXT])
@pytest.mark.parametrize("name", ["urlencode", "upper", "lower", "title", "trim"])
@pytest.mark.parametrize("value", [" <São Tomé> & 'co' ", "".join(map(chr, range(128)))])
def test_simple_templates_render_as_in_jinja(value: str, name: str, part: TemplateField) -> None:
    row = {**ROW, "city": value}
    simple = template(f"a{{{{ city|{name} }}}}b", part).fill(row)
    full = template(f"a{{{{ city|{name} }}}}b{{% if 0 %}}{{% endif %}}", part).fill(row)
    assert "".join(simple.pieces) == "".join(full.pieces)
    if part is TemplateField.HTML:
        assert [*simple.inserted.values()] == [*full.inserted.values()]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "a\n{{ city.nope }}",
            "html, line 2: cannot be rendered with this row's values: Und",
        ),
        ("{{ city.__class__.__mro__ }}", "SecurityError"),
        ("{{ 'a' * 99999999999 }}", "makes more than 10,000,000 characters"),
        ("{{ 99999999999 * 'a' }}", "makes more than 10,000,000 characters"),
        ("{{ 9 ** 99999999 }}", "SecurityError"),
        ("{{ range(10000000) }}", "OverflowError"),
        ("{{ 1 / (amount|int - 12) }}", "ZeroDivisionError"),
        ("{{ {}[email] }}", "has no attribute (value)"),
        ("{{ {}[city] }}", "'dict object' has no attribute (value)"),
        ("{{ {}[email|upper] }}", "has no attribute (value)"),  # what is made of a value, too
        ("{{ {}[amount|int] }}", "no element (value)"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "RecursionError"),
        ("{% for x in range(99999) %}{{ x }},{{ x }}{% endfor %}", "more than 20,000 steps"),
    ],
)
def test_the_error_for_a_row_gives_the_reason_without_the_address(
    source: str, expected: str
) -> None:
    with pytest.raises(MessageError) as caught:
        template(source).render(ROW)
    assert expected in str(caught.value)
    assert "anna@example.com" not in str(caught.value).lower()
    assert ROW["city"] not in str(caught.value)


def test_a_row_without_a_column_cannot_be_rendered() -> None:
    with pytest.raises(MessageError, match="'city' is undefined"):
        template("{{ city }}").render({"email": "anna@example.com"})
