"""Templates that make too much text, or take too many steps, are refused."""

from __future__ import annotations

import resource

import pytest

from mailsluice.core.errors import MessageError
from mailsluice.message.bounds import MOST_RENDERED
from mailsluice.message.templates import Template, TemplateField
from tests.thorough import some

ROW = {"email": "anna@example.com", "name": "Anna", "big": "x " * 100_000, "long": "y" * 1_000_000}
GROWING = (
    "{% set n = namespace(x='ab' * 1000) %}{% for i in range(60) %}{% set n.x = %}{% endfor %}"
)


def doubled(how: str) -> str:
    """Return a template that doubles a text sixty times."""
    return GROWING.replace("n.x = ", f"n.x = {how} ") + "{{ n.x }}"


MANY = "{% set a = ('x ' * 400000).split() %}{% set b = ('x ' * 400000).split() %}"
NESTED = (
    "{% set n = namespace(x=(1,)) %}{% for i in range(60) %}{% set n.x = (n.x, n.x) %}{% endfor %}"
)
COSTLY = [
    # a number says how long
    "{{ 'a'|center(100000000) }}",
    "{{ 'a'.center(100000000) }}",
    "{{ name.ljust(100000000) }}{{ name.rjust(100000000) }}",
    "{{ name.zfill(100000000) }}",
    "{{ ('\t' * 1000).expandtabs(1000000) }}",
    "{{ name|indent(100000000) }}",
    "{{ name|indent(width=100000000, first=true) }}",
    "{{ 'a'|truncate(100000000) }}",
    "{{ [1]|batch(100000000, 'x')|list }}",
    "{{ [1]|slice(100000000)|list }}",
    "{{ [1]|tojson(indent=100000000) }}",
    "{{ 1.5|round(100000000) }}",
    "{{ 'a' * 100000000 }}{{ 'a' * 100000000000 }}",
    "{{ 100000000 * 'a' }}",
    "{{ [1] * 100000000 }}",
    # formats
    "{{ '%0100000000d' % 1 }}",
    "{{ '%0100000000d'|format(1) }}",
    "{{ '%*d' % (100000000, 1) }}",
    "{{ '%.100000000f' % 1.5 }}",
    "{{ '{:0100000000d}'.format(1) }}",
    "{{ '{:{}}'.format('a', 100000000) }}",
    "{{ '{:{}}'.format('a', '100000000') }}",
    "{{ '{:{w}}'.format('a', w=100000000) }}",
    "{{ '{a:100000000}'.format_map({'a': 1}) }}",
    "{{ ('%s' * 100) % ((long,) * 100) }}",
    "{{ ('%(a)s' * 1000) % {'a': long} }}",
    "{{ ('{0}' * 1000).format(long) }}",
    # doubling
    doubled("n.x ~ n.x"),
    doubled("n.x + n.x"),
    doubled("n.x * 2"),
    doubled("[n.x, n.x]|join"),
    doubled("''.join([n.x, n.x])"),
    doubled("n.x|replace('a', 'aa')"),
    doubled("n.x.replace('b', 'bb')"),
    doubled("'%s%s' % (n.x, n.x)"),
    doubled("'%s%s'|format(n.x, n.x)"),
    doubled("'{0}{0}'.format(n.x)"),
    doubled("[n.x, n.x]|string"),
    doubled("[n.x, n.x]|tojson"),
    doubled("[n.x, n.x]"),
    doubled("n.x|urlencode ~ n.x"),
    doubled("[n.x, n.x]|pprint"),
    "{% set x %}"
    + "ab" * 500
    + "{% endset %}"
    + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60
    + "{{ x }}",
    "{% macro m(x, n) %}{% if n %}{{ m(x ~ x, n - 1) }}{% else %}{{ x }}{% endif %}{% endmacro %}"
    "{{ m('ab' * 500, 60) }}",
    # one factor times another
    "{{ long|replace('y', long) }}",
    "{{ long|replace('', long) }}",
    "{{ long.replace('y', long) }}",
    "{{ range(100000)|join(long) }}",
    "{{ long|join(long) }}",
    "{{ long.join(long) }}",
    "{{ range(100000)|map('string')|join(long) }}",
    "{{ ('\n' * 100000)|indent(big) }}",
    "{{ big|wordwrap(1, true, long) }}",
    "{{ [long] * 100000 }}",
    "{{ ([long] * 100000)|join }}",
    "{{ ([long] * 100000)|string }}",
    "{{ ([long] * 100000)|tojson }}",
    "{{ [long] * 100000 ~ '' }}",
    "{% for i in range(100000) %}{{ long }}{% endfor %}",
    "{% for i in range(1000) %}{{ long|upper }}{% endfor %}",
    "{% filter upper %}{% for i in range(1000) %}{{ long }}{% endfor %}{% endfilter %}",
    "{% call(a) m() %}{{ long }}{% endcall %}{% macro m() %}{% endmacro %}".replace(
        "{% call(a) m() %}{{ long }}{% endcall %}{% macro m() %}{% endmacro %}",
        "{% macro m() %}{% for i in range(1000) %}{{ caller() }}{% endfor %}{% endmacro %}"
        "{% call m() %}{{ long }}{% endcall %}",
    ),
    "{{ range(100000)|map('center', 100000)|list }}",
    "{{ range(100000)|map('string')|map('center', 100000)|join }}",
    "{{ ([range(100000)] * 1000)|map('list')|list }}",
    "{{ ([[1] * 10000] * 10000)|sum(start=[]) }}",
    "{{ ('y' * 100000)|urlize }}",
    "{{ ('y' * 100000)|wordwrap(1) }}",
    "{{ (('<' * 50000) ~ ('>' * 50000))|striptags }}",
    # steps
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) if false %}{% endfor %}{% for a in range(99999) %}{% endfor %}",
    "{% for a in range(100000) recursive %}{{ loop(range(100000)) }}{% endfor %}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% block b %}{{ self.b() }}{% endblock %}",
    # what is compared, copied or hashed
    MANY + "{% for i in range(19000) %}{{ 1 if 'y' in a }}{% endfor %}",
    MANY + "{% for i in range(19000) %}{{ 1 if a == b }}{% endfor %}",
    MANY + "{% for i in range(19000) %}{{ 1 if 'y' is in a }}{% endfor %}",
    MANY + "{% for i in range(19000) %}{{ 1 if a is eq(b) }}{% endfor %}",
    MANY + "{{ range(19000)|select('in', a)|list }}",
    MANY + "{% for i in range(19000) %}{% set b = a[::-1] %}{% endfor %}",
    "{% for i in range(19000) %}{% set b = long[::-1] %}{% endfor %}",
    NESTED + "{{ {n.x: 1} }}",
    NESTED + "{{ {}[n.x] }}",
    NESTED.replace("(n.x, n.x)", "(n.x,)").replace("60", "4000") + "{{ {n.x: 1} }}",
    # numbers
    "{{ 10 ** 100000000 }}",
    "{% set n = namespace(x=9) %}{% for i in range(60) %}{% set n.x = n.x * n.x %}{% endfor %}"
    "{{ n.x % 7 }}",
    "{{ (1).to_bytes(100000000, 'big') }}",
    "{{ name.encode() }}",
    "{{ long.translate({121: long}) }}",
]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("source", "part"),
    [
        *((source, TemplateField.HTML) for source in COSTLY),
        *((source, TemplateField.TEXT) for source in some(COSTLY)),
    ],
)
def test_a_template_that_costs_too_much_is_refused(source: str, part: TemplateField) -> None:
    """They are refused before the cost arises, and the error contains no value of the row."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MessageError) as caught:
        Template(part, source, ROW).render(ROW)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes
    error = str(caught.value)
    assert error.startswith(part)
    assert len(error) < 400
    assert "Anna" not in error
    assert "xx" not in error
    assert "yy" not in error


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ name|center(10) }}|{{ name.ljust(6) }}|", "   Anna   |Anna  |"),
        ("{{ '%05d' % 42 }} {{ '%s: %.2f'|format(name, 1.5) }}", "00042 Anna: 1.50"),
        ("{{ '{:>6} {:,}'.format(name, 1234567) }}", "  Anna 1,234,567"),
        ("{{ 'call 0800123456: %s' % name }}", "call 0800123456: Anna"),  # no width
        ("{{ 'call 0800123456: {}'.format(name) }}", "call 0800123456: Anna"),
        ("{{ '%s of %s' % (1234567, 12345678) }}", "1234567 of 12345678"),
        ("{{ name ~ '-' ~ 5 ~ ['a'] }}", "Anna-5['a']"),
        ("{{ [1, 2, 3]|join(', ') }} {{ ', '.join(['a', 'b']) }}", "1, 2, 3 a, b"),
        ("{{ ['a', 'b']|map('upper')|join('-') }}", "A-B"),
        ("{{ name|replace('n', 'N') }} {{ name.replace('A', 'a') }}", "ANNa anna"),
        ("{{ 'a\nb'|indent(2) }}", "a\n  b"),
        ("{{ 'aa bb'|wordwrap(2) }}", "aa\nbb"),
        ("{{ [1, 2, 3]|batch(2, 0)|list }} {{ [1, 2, 3]|slice(2)|list }}",
         "[[1, 2], [3, 0]] [[1, 2], [3]]"),
        ("{{ [1, 2]|sum }} {{ 1234567.891|round(2) }} {{ '1700000000'|int }}",
         "3 1234567.89 1700000000"),
        ("{{ 3 * 4 }} {{ 7 % 3 }} {{ 1 + 2 }} {{ 'ab' * 2 }} {{ 'a' + 'b' }}", "12 1 3 abab ab"),
        ("{% for i in [1, 2, 3] %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}"
         "{% endfor %}", "1/3,2/3,3/3"),
        ("{% for i in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for k, v in {'a': 1}|dictsort %}{{ k }}={{ v }}{% endfor %}", "a=1"),
        ("{% for i in [{'c': [{'c': []}]}] recursive %}x{{ loop(i.c) }}{% endfor %}", "xx"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}{{ m(x=2) }}", "<1><2>"),
        ("{% set x %}a{{ name }}{% endset %}{{ x|upper }}", "AANNA"),
        ("{% filter lower %}{{ name }}{% endfilter %}", "anna"),
        ("{{ name|truncate(3, true, '', 0) }} {{ name|length }} {{ name|title }}", "Ann 4 Anna"),
        ("{{ {'a': [1]}|tojson }} {{ 'x'|urlencode }}", '{"a": [1]} x'),
        ("{{ long|length }}", "1000000"),
    ],
)  # fmt: skip
def test_ordinary_templates_render_as_in_jinja(source: str, text: str) -> None:
    assert Template(TemplateField.TEXT, source, ROW).render(ROW) == text


def test_the_length_of_a_rendered_text_is_limited() -> None:
    source = "{% if name %}{{ long }}{{ long }}{% endif %}"
    assert len(Template(TemplateField.TEXT, source, ROW).render(ROW)) == MOST_RENDERED
    with pytest.raises(MessageError, match=r"would be more than 2,000,000 characters"):
        Template(TemplateField.TEXT, source + "!", ROW).render(ROW)


@pytest.mark.parametrize("source", ["{{ long }}" * 3, "{{ long|upper }}" * 3])
@pytest.mark.parametrize("part", TemplateField)
def test_the_length_of_plain_insertions_is_limited(source: str, part: TemplateField) -> None:
    """Plain insertions are rendered in a faster way."""
    template = Template(part, source, ROW)
    with pytest.raises(MessageError, match=f"^{part}.*would be more than 2,000,000 characters"):
        template.render(ROW)
    with pytest.raises(MessageError, match="would be more than"):
        template.fill(ROW)


@pytest.mark.parametrize(
    "source",
    ["{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}", "{% if 1 %}" * 500 + "{% endif %}" * 500],
)
def test_a_template_that_is_nested_too_deeply_is_refused(source: str) -> None:
    with pytest.raises(MessageError, match=r"^text: nested too deeply"):
        Template(TemplateField.TEXT, source, ROW)


def test_each_rendering_has_a_budget_of_its_own() -> None:
    template = Template(
        TemplateField.TEXT, "{% for i in range(15000) %}{% endfor %}{{ name }}", ROW
    )
    assert [template.render(ROW) for _ in range(3)] == ["Anna"] * 3
