"""The results of a run over the mailbox: numbers, without addresses."""

from __future__ import annotations

from mailsluice.bounces.collected import Collected, Fate, Line

SPRING = Line(1, "spring|sale", "red")


def test_the_summary_counts_all_mails() -> None:
    collected = Collected(suppressed=3, known_before=1, waiting=1_200)
    for fate in (Fate.HARD, Fate.HARD, Fate.SOFT, Fate.COMPLAINT):
        collected.add(fate, SPRING)
    for fate in (Fate.COMPLAINT, Fate.NOT_OURS, Fate.AUTO_REPLY):
        collected.add(fate)
    assert collected.summary() == (
        "7 read: 2 hard, 1 soft, 2 complaints, 1 auto-reply, 1 not ours; "
        "3 newly suppressed (1 known before); 1,200 left for the next run"
    )


def test_the_page_has_a_line_for_each_campaign_and_connection() -> None:
    collected = Collected(trouble="the link broke")
    collected.add(Fate.SOFT, Line(2, "autumn", "green"))
    collected.add(Fate.HARD, SPRING)
    collected.add(Fate.PASSING, Line(3, "winter", "red"))
    collected.add(Fate.UNKNOWN)
    collected.add(Fate.UNSUBSCRIBED, SPRING)
    page = collected.markdown()
    assert "| spring\\|sale | red | 1 | 0 | 0 | 1 |\n| autumn | green | 0 | 1 | 0 | 0 |" in page
    assert "winter" not in page  # nothing about it is recorded
    assert "## Stopped early\n\nthe link broke" in page
    assert "1 left in the folder, flagged" in page
    assert collected.campaign_ids == {1, 2}


def test_a_mailbox_without_new_mail_is_reported() -> None:
    assert Collected().summary() == "nothing new in the mailbox"
    assert "##" not in Collected().markdown()
