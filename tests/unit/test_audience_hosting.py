"""Recipients are grouped by who hosts their mailboxes; domains are numbered as they occur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.audience import hosting as module
from mailsluice.audience.chunk import TEXT
from mailsluice.audience.domains import Domains
from mailsluice.audience.hosting import Hosting, Hosts, hosting
from mailsluice.audience.keys import domain_keys
from mailsluice.mailbox_providers import NO_MAIL, UNRESOLVED

names = st.sampled_from([f"{letter}.example" for letter in "abcdefghijklmnop"])


@given(st.lists(st.lists(names, max_size=30), max_size=6))
def test_a_domain_has_one_number_and_one_key_in_all_chunks(chunks: list[list[str]]) -> None:
    domains = Domains()
    numbers = [domains.add(pa.array(chunk, TEXT)) for chunk in chunks]

    for chunk, found in zip(chunks, numbers, strict=True):
        assert domains.names(found.astype(np.int64)) == chunk
        assert np.array_equal(domains.keys()[found], domain_keys(pa.array(chunk, TEXT)))
    assert len(domains) == len({one for chunk in chunks for one in chunk})


def hosts_of(domains: Sequence[str], providers: dict[str, str]) -> Hosting:
    known = Domains()
    numbers = known.add(pa.array(domains, TEXT))
    return hosting(numbers, known, lambda asked: Hosts([providers[one] for one in asked]))


def test_providers_are_numbered_by_their_recipients_and_equal_ones_by_name() -> None:
    domains = ["x.de", "null.de", "a.de", "b.de", "a.de", "x.de"]
    found = hosts_of(domains, {"x.de": "z", "a.de": "m", "b.de": "m", "null.de": NO_MAIL})
    assert found.names == ("m", "z")
    assert found.numbers.tolist() == [2, 0, 1, 1, 1, 2]
    again = hosts_of(domains[::-1], {"x.de": "b", "a.de": "c", "b.de": "a", "null.de": NO_MAIL})
    assert again.names == ("b", "c", "a")


def test_of_very_many_domains_those_that_are_not_asked_for_are_known_by_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_DOMAINS", 2)
    many = ["a.de", "a.de", "b.de", "b.de", "gmail.com", "c.de", "d.de", "me.com"]
    found = hosts_of(many, {"a.de": "z.net", "b.de": NO_MAIL})
    of = ("no mail", *found.names)
    assert [of[number] for number in found.numbers] == [
        *["z.net"] * 2,
        *[NO_MAIL] * 2,
        "google",
        *["unresolved"] * 2,
        "apple",
    ]


@given(st.lists(names, max_size=60), st.integers(1, 6), st.data())
def test_the_smallest_of_too_many_providers_join_the_unresolved(
    domains: list[str], most: int, data: st.DataObject
) -> None:
    some = st.sampled_from([*"pqrstuvw", UNRESOLVED, NO_MAIL])
    providers = {one: data.draw(some) for one in sorted(set(domains))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_PROVIDERS", most)
        found = hosts_of(domains, providers)

    assert len(found.names) <= most
    totals = Counter(providers[one] for one in domains)
    counted = Counter(("no mail", *found.names)[number] for number in found.numbers)
    assert [counted[name] for name in found.names] == sorted(
        (counted[name] for name in found.names), reverse=True
    )
    kept = [name for name in found.names if name != UNRESOLVED]
    assert all(counted[name] == totals[name] for name in kept)
    left_out = totals.keys() - {*kept, UNRESOLVED, NO_MAIL}
    assert all(totals[name] <= totals[large] for name in left_out for large in kept)
    for domain, number in zip(domains, found.numbers, strict=True):
        assert (number == 0) == (providers[domain] == NO_MAIL)
