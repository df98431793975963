"""The recorded outcomes agree with the messages that a faulty server has."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.core.outcome import Verdict
from tests.integration.smtp_fixtures import KINDS, connection_to, deliver, envelopes
from tests.smtpd import Settings, SmtpServer
from tests.thorough import examples

ACTIONS = st.sampled_from(["250", "421", "450", "550", "drop", "garbage"])
STAGES = st.sampled_from(["rcpt", "data", "body", "dot", "accepted", "after"])
LIES = {
    "sequential": ("250-at-dot", "250-at-body"),
    "pipelined": ("250-at-dot", "250-at-body"),
    "chunked": ("250-at-dot", "250-at-body", "250-at-data"),
}
"""Faults of a server that accepts a message and loses it."""
SURPLUS = "250-at-after"
"""Faults that are noticed only at the end with several in flight, since all 250 look alike."""
NAMES = st.just("good") | st.builds("{}-at-{}".format, ACTIONS, STAGES)


@settings(max_examples=examples(80), deadline=None)
@given(
    names=st.lists(NAMES, max_size=8),
    pauses=st.sets(st.integers(0, 7)),
    piece=st.sampled_from([None, 1, 5]),
    kind=st.sampled_from(list(KINDS)),
    willing=st.booleans(),
)
def test_outcomes_agree_with_the_messages_of_the_server(
    names: list[str], pauses: set[int], piece: int | None, kind: str, willing: bool
) -> None:
    if kind == "chunked":
        names = [name for name in names if name != SURPLUS]
    names = [f"{name}.{number}" for number, name in enumerate(names)]
    server_settings = Settings(keywords=KINDS[kind], piece=piece, data_without_recipients=willing)
    with SmtpServer(server_settings) as server:
        waited = [name for number, name in enumerate(names) if number in pauses]
        feed, _ = deliver(connection_to(server), envelopes(*names), pauses=waited)
        verdicts = feed.verdicts()
        for name in names:
            count = server.recipients[f"{name}@example.com"]
            verdict = verdicts.get(name, Verdict.UNTOUCHED)
            if name.startswith(LIES[kind]):
                continue
            assert count <= 1
            if verdict is Verdict.ACCEPTED:
                assert count == 1
            elif verdict is not Verdict.UNCERTAIN and "-at-accepted" not in name:
                assert count == 0
