"""How long a lease has not been renewed, by the steady clock."""

from __future__ import annotations

from mailsluice.delivery.silence import Silence


def test_silence_counts_from_the_last_change_of_the_lease() -> None:
    silence = Silence()
    assert silence.seconds("a", 100.0, 0.0) is None
    assert silence.seconds("a", 100.0, 20.0) == 20.0
    assert silence.seconds("a", 120.0, 30.0) is None
    assert silence.seconds("a", 120.0, 76.0) == 46.0


def test_a_lease_that_became_shorter_was_renewed_as_well() -> None:
    silence = Silence()
    silence.seconds("a", 100.0, 0.0)
    assert silence.seconds("a", 60.0, 2.0) is None  # renewed by a clock that was set back


def test_each_holder_is_counted_separately() -> None:
    silence = Silence()
    silence.seconds("a", 100.0, 0.0)
    assert silence.seconds("b", 100.0, 5.0) is None
    assert silence.seconds("a", 100.0, 6.0) == 6.0
