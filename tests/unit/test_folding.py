"""Spellings of the same mailbox have the same folded form."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.audience.address import normalise
from mailsluice.audience.keys import address_keys
from mailsluice.core.folded_column import fold
from mailsluice.core.folding import folded

SAME = [
    ("ann@example.com", "ANN@Example.COM"),  # capital letters
    ("i@example.com", "I@example.com"),  # as in all languages except Turkish
    ("strauss@example.com", "strau\u00df@example.com"),  # the capital form of ß is SS
    ("strauss@example.com", "STRAU\u1e9e@example.com"),
    ("k@example.com", "\u212a@example.com"),  # the Kelvin sign
    ("ann@example.com", "\uff41\uff4e\uff4e@example.com"),  # full width
    ("zo\u00eb@example.com", "zoe\u0308@example.com"),  # NFC and NFD
    ("zo\u00eb@example.com", "ZO\u00cb@example.com"),
    ("\u03c3\u03c3@example.com", "\u03a3\u03c2@example.com"),  # the final sigma
    ("ann@xn--mnchen-3ya.de", "Ann@M\u00fcnchen.DE"),  # IDN
    ("ann@example.com", '"ann"@example.com'),  # needless quotes
    ("a..b@docomo.ne.jp", '"A..b"@docomo.ne.jp'),
]
DISTINCT = [
    ("ann@example.com", "anna@example.com"),
    ("john.doe@example.com", "johndoe@example.com"),  # dots
    ("ann@example.com", "ann+x@example.com"),  # tags
    ("i@example.com", "\u0131@example.com"),  # the dotless i of Turkish
    ("i@example.com", "\u0130@example.com"),  # its capital i with a dot
    ("ann@fass.de", "ann@xn--fa-hia.de"),  # fass.de and faß.de are two domains (IDNA 2008)
    ("zoe@example.com", "zo\u00eb@example.com"),  # an accent makes another letter
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_spellings_of_a_mailbox_have_the_same_folded_form(first: str, second: str) -> None:
    assert folded(first) == folded(second)


@pytest.mark.parametrize(("first", "second"), DISTINCT)
def test_different_mailboxes_have_different_folded_forms(first: str, second: str) -> None:
    assert folded(first) != folded(second)


texts = st.text(
    st.one_of(st.sampled_from('aA."\\@\u0130\u0131\u00df\u212a\u0345'), st.characters())
)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            "{}@example.com".format, texts.map(lambda x: x.encode("utf-8", "ignore").decode())
        )
    )
)
def test_a_column_is_folded_like_its_addresses(emails: list[str]) -> None:
    assert fold(pa.array(emails, pa.large_string())).to_pylist() == [folded(x) for x in emails]


@settings(deadline=None)
@given(st.text())
def test_folding_a_folded_address_changes_nothing(local: str) -> None:
    (email,) = normalise(pd.Series([f"{local}@example.com"], dtype="str"))["email"]
    assert folded(folded(email)) == folded(email)


def test_spellings_of_a_mailbox_have_the_same_key() -> None:
    first, second, third = address_keys(pa.array(["Ann@b.de", "ann@b.de", '"ANN"@b.de']))
    assert first.tolist() == second.tolist() == third.tolist()
