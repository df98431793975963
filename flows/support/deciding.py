"""Ask an operator about held parts of a campaign: a suspended run with a form.

Prefect stores the form with the suspended run, and shows it when an operator resumes the run. The
run then starts from the top and reads the answers. Each hold is a field of the form, named by the
hold's number, so the answers to all forms of a run can be read together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID, uuid4

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from pydantic import Field, create_model

from flows.support.events import Milestone, emit
from mailsluice.delivery import CampaignRun
from mailsluice.stop_loss import CANARY, Decision, Hold
from mailsluice.stop_loss.telling import figures, named, reason
from mailsluice.store import Database, Providers

_MOVE = "move to "
_KEY = "holds-"
_MOST_INPUTS = 200


def announce(campaign: str, hold: Hold, providers: Mapping[int, str]) -> None:
    """Log that a part is held, and emit an event."""
    part, why = named(hold.unit, providers), reason(hold)
    get_run_logger().warning("%s is held until you decide: %s", part, why)
    emit(
        Milestone.HELD,
        campaign,
        hold.unit.connection,
        threshold=None if hold.reason == CANARY else hold.reason,
        held=part,
        reason=why,
    )


async def ask(run: CampaignRun, database: Database, holds: Sequence[Hold]) -> None:
    """Suspend this run until an operator has filled in the form. Raises Pause."""
    providers = await asyncio.to_thread(Providers(database).of, run.id)
    targets = {hold.id: await asyncio.to_thread(run.may_move_to, hold.unit) for hold in holds}
    form = form_of(holds, providers, targets)
    await asuspend_flow_run(wait_for_input=form, key=f"{_KEY}{uuid4()}")


async def take_decisions(run: CampaignRun, database: Database) -> None:
    """Carry out what an operator has decided since this run was suspended."""
    holds = await asyncio.to_thread(run.undecided)
    answers = await _answers() if holds else {}
    providers = await asyncio.to_thread(Providers(database).of, run.id)
    for hold in holds:
        if answer := answers.get(_field(hold)):
            decision, target = read_answer(answer)
            await asyncio.to_thread(run.decide, hold, decision, target)
            get_run_logger().info("%s: %s, as decided", named(hold.unit, providers), answer)


async def _answers() -> dict[str, str]:
    """The answers to all forms of this run."""
    given: dict[str, str] = {}
    async with get_client() as client:
        inputs = await client.filter_flow_run_input(
            UUID(flow_run.get_id()), f"suspended-{_KEY}", _MOST_INPUTS, set()
        )
    for stored in inputs:
        if stored.key.endswith("-response"):
            given |= stored.decoded_value
    return given


def _field(hold: Hold) -> str:
    return f"hold_{hold.id}"


def read_answer(answer: str) -> tuple[Decision, str | None]:
    """The decision of an answer, and the connection to move to."""
    if answer.startswith(_MOVE):
        return Decision.MOVE, answer.removeprefix(_MOVE)
    return Decision(answer), None


def form_of(
    holds: Sequence[Hold], providers: Mapping[int, str], targets: Mapping[int, Sequence[str]]
) -> type[RunInput]:
    """The form: a choice for each hold, and the figures above it.

    `targets` are the connections that may take over the recipients, by the hold's number.
    """
    fields: dict[str, Any] = {}
    for hold in holds:
        moves = [_MOVE + target for target in targets[hold.id]]
        choices = (Decision.GO_ON.value, Decision.STOP.value, *moves)
        title = named(hold.unit, providers)
        fields[_field(hold)] = (Literal[choices], Field(title=title, description=reason(hold)))
    form: type[RunInput] = create_model("Decisions", __base__=RunInput, **fields)
    description = "\n".join([*_WORDS, *figures(holds, providers), "", *_CHOICES])
    return form.with_initial_data(description=description)


_WORDS = (
    "The recipients of these parts wait; all others have been sent to, or wait for their time.",
    "",
)
_CHOICES = (
    "Decide about each part:",
    "",
    "- **go on**: they get the mail, and the figures so far count no more.",
    "- **stop**: they get no mail, and are cancelled for good.",
    "- **move to** another connection: those that were never attempted get the mail over that one.",
)
