"""Keys of addresses and domains, and sets of keys."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.audience.keys import KeySet, address_keys, domain_keys, repeated
from mailsluice.core import pieces

# Few values, so that keys agree in both halves, or in one only.
pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40)


def keys(values: list[tuple[int, int]]) -> np.ndarray:
    return np.array(values, np.uint64).reshape(-1, 2)


def test_keys_never_change() -> None:
    """Assignments of stored campaigns depend on the keys."""
    found = address_keys(pa.array(["ann@example.com", "zoë@example.com"]))

    assert [[f"{half:016x}" for half in key] for key in found] == [
        ["724f648e9db1ca21", "e27e5b3a0013742c"],
        ["08544c456dedd1b8", "5cf23c22e0532849"],
    ]
    assert f"{domain_keys(pa.array(['example.com']))[0]:016x}" == "209e08d2d1312c2b"


def test_a_domains_key_does_not_depend_on_the_other_domains() -> None:
    first = domain_keys(pa.array(["a.de", "b.de", "a.de"]))
    second = domain_keys(pa.array(["c.de", "a.de"]))

    assert first[0] == first[2] == second[1]
    assert len({*first, *second}) == 3


@settings(deadline=None)
@given(pairs, st.integers(1, 8))
def test_repeated_keys_are_those_that_occur_earlier(
    values: list[tuple[int, int]], piece: int
) -> None:
    expected = [i for i, value in enumerate(values) if value in values[:i]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_PIECE", piece)
        assert sorted(repeated(keys(values))) == expected


@settings(deadline=None)
@given(pairs, pairs)
def test_a_key_set_contains_its_keys_and_no_others(
    inside: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    found = KeySet.of(keys(inside)).contains(keys(asked))

    assert found.tolist() == [value in inside for value in asked]
