"""The delivery of a message does not depend on the order of its events, nor on repetitions."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.merging import Delivery, delivery_of, merged

DEFERRED, DELIVERED, DROPPED, BOUNCED, UNSUBSCRIBED, COMPLAINED = DeliveryState

EVENTS = st.builds(
    ProviderEvent,
    key=st.text(max_size=2),
    state=st.sampled_from(DeliveryState),
    at=st.integers(1, 4).map(float),
    failure=st.none() | st.sampled_from(FailureKind),
    reply=st.sampled_from(["", "a", "B"]),
    status=st.sampled_from(["", "5.1.1"]),
    mailbox_provider=st.sampled_from(["", "Gmail"]),
)


def delivery(events: list[ProviderEvent]) -> Delivery:
    return reduce(merged, map(delivery_of, events))


@given(st.lists(EVENTS, min_size=1, max_size=6), st.data())
def test_any_order_with_repetitions_gives_the_same_delivery(
    events: list[ProviderEvent], data: st.DataObject
) -> None:
    repeated = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events)))))
    assert delivery(repeated) == delivery(events)


@given(st.lists(EVENTS, min_size=2, max_size=6), st.data())
def test_parts_may_be_merged_in_any_grouping(
    events: list[ProviderEvent], data: st.DataObject
) -> None:
    at = data.draw(st.integers(1, len(events) - 1))
    assert merged(delivery(events[:at]), delivery(events[at:])) == delivery(events)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([DEFERRED, DELIVERED], DELIVERED),
        ([DELIVERED, DEFERRED], DELIVERED),  # the deferral arrived late
        ([DELIVERED, BOUNCED], BOUNCED),  # the server took the mail, and returned it later
        ([BOUNCED, DELIVERED], DELIVERED),  # it bounced for now
        ([COMPLAINED, BOUNCED], COMPLAINED),
        ([COMPLAINED, UNSUBSCRIBED, DELIVERED], COMPLAINED),
        ([UNSUBSCRIBED, DELIVERED], UNSUBSCRIBED),
        ([DROPPED, DEFERRED], DROPPED),
    ],
)
def test_the_state_of_a_delivery(states: list[DeliveryState], expected: DeliveryState) -> None:
    events = [ProviderEvent(str(at), state, float(at)) for at, state in enumerate(states, 1)]
    assert delivery(events).state is expected
    assert delivery(events).first_at == {event.state: event.at for event in events}
