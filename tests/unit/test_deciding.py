"""The form that asks an operator about held parts of a campaign."""

from __future__ import annotations

import pytest

from flows.support.deciding import form_of, read_answer
from mailsluice.stop_loss import Decision, Figures, Hold, Unit

GOOGLE = Hold(3, Unit("red", 1), "bounced", 5.0, {1: Figures(sent=80, refused=20)}, 0.0)


def test_the_form_shows_the_figures_and_offers_what_is_possible() -> None:
    form = form_of([GOOGLE], {1: "google"}, {3: ["green", "the blue one"]})
    field = form.model_json_schema()["properties"]["hold_3"]
    assert field["title"] == "Google over red"
    assert field["description"] == "20 of 100 (20.00 %) bounced, more than 5 %"
    assert field["enum"] == ["go on", "stop", "move to green", "move to the blue one"]
    assert form.model_json_schema()["required"] == ["hold_3"]
    assert (
        "- **Google over red**: 20 of 100 (20.00 %) bounced, more than 5 %. In all 80 sent,"
        " 20 refused; 20 of 100 (20.00 %) bounced, 0 of 100 (0.00 %) were blocked,"
        " 0 of 80 (0.00 %) complained." in str(form._description)
    )


@pytest.mark.parametrize(
    ("answer", "decided"),
    [
        ("go on", (Decision.GO_ON, None)),
        ("stop", (Decision.STOP, None)),
        ("move to the blue one", (Decision.MOVE, "the blue one")),
    ],
)
def test_an_answer_is_a_decision(answer: str, decided: tuple[Decision, str | None]) -> None:
    assert read_answer(answer) == decided
