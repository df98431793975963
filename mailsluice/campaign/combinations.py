"""Settings of a campaign that do not go together, each with what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from mailsluice.campaign.affinity import refuse_useless
from mailsluice.campaign.policies import Dispatch, DownPolicy, Strategy
from mailsluice.campaign.routes import refuse_overgrown
from mailsluice.campaign.stop_loss import Approval

if TYPE_CHECKING:
    from mailsluice.campaign.document import Campaign

_DEFAULT_SHIFT_PERCENT = 10


def refuse_combinations(campaign: Campaign) -> None:
    """Raise ValueError at the first combination of settings that makes no sense."""
    for check in _CHECKS:
        check(campaign)


def _routes_fit_strategy(campaign: Campaign) -> None:
    sharing = campaign.sharing
    if not sharing:
        raise ValueError("all connections are standbys: remove standby from one of them")
    if campaign.strategy is Strategy.PERCENTAGE:
        _check_percentages(campaign)
        return
    for route in campaign.routes:
        if route.percent is not None:
            raise ValueError(
                f"connection {route.connection!r} has a percentage, but the strategy is "
                f"{campaign.strategy.value!r}: remove the percentage or choose 'percentage'"
            )
    if campaign.strategy is Strategy.SINGLE and len(sharing) > 1:
        raise ValueError(
            f"the strategy 'single' takes one connection, not {len(sharing)}: remove the "
            "others, or choose 'percentage', 'round_robin' or 'throughput', or make them standbys"
        )


def _check_percentages(campaign: Campaign) -> None:
    for route in campaign.sharing:
        if route.percent is None:
            raise ValueError(
                f"connection {route.connection!r} has no percentage: give it one (0 is allowed)"
            )
    total = sum((route.percent or Decimal(0) for route in campaign.sharing), Decimal(0))
    if total != 100:
        verb = "raise" if total < 100 else "lower"
        raise ValueError(
            f"percentages add up to {_plain(total)}, not 100: "
            f"{verb} one of them by {_plain(abs(100 - total))}"
        )
    refuse_overgrown(campaign.sharing)


def _processes_fit_dispatch(campaign: Campaign) -> None:
    if campaign.dispatch is Dispatch.WORKERS and campaign.processes != 1:
        raise ValueError(
            "processes is for the dispatch 'inline': remove it, or set sessions_per_worker for"
            " more runs on workers"
        )


def _lending_needs_others(campaign: Campaign) -> None:
    if campaign.lenders and len(campaign.sharing) == 1:
        raise ValueError(
            "lend needs at least two connections: remove it, or add a route with the strategy"
            " 'percentage'"
        )
    if campaign.lend and not campaign.lenders:
        raise ValueError(
            "lend is set, but no route may send for others: remove lend, or the 'no' of a route"
        )
    if campaign.max_shift_percent != _DEFAULT_SHIFT_PERCENT and not campaign.lenders:
        raise ValueError("max_shift_percent is for lend: set lend, or remove max_shift_percent")


def _finishes_once(campaign: Campaign) -> None:
    if campaign.finish_by is not None and campaign.spread_over is not None:
        raise ValueError(
            "finish_by and spread_over both say when the campaign ends: remove one of them"
        )


def _affinity_fits_strategy(campaign: Campaign) -> None:
    refuse_useless(campaign.affinity, campaign.affinity_group, campaign.strategy)


def _canary_has_a_judge(campaign: Campaign) -> None:
    canary = campaign.canary
    if canary and canary.approve is Approval.AUTO and not campaign.stop_loss:
        raise ValueError(
            "a canary that is approved by itself needs limits: fill in the stop_loss, such as"
            " bounce_percent 5, block_percent 2 and complaint_percent 0.3, or set approve to"
            " 'operator'"
        )


def _fits_time_zones(campaign: Campaign) -> None:
    if not campaign.sending_window.in_own_zones:
        return
    columns = "leave zone_column and country_column of the sending_window empty"
    if campaign.canary:
        raise ValueError(
            "a canary cannot be judged before the sending window has opened in every time zone,"
            f" up to a day later: remove the canary, or {columns}"
        )
    if campaign.is_paced:
        raise ValueError(
            "an even pace is computed for one sending window, not for one in each recipient's"
            f" time zone: remove finish_by and spread_over, or {columns}"
        )
    if campaign.lenders:
        raise ValueError(
            "lending compares connections that have mail to send, and with windows by time zone"
            f" they may wait for different ones: remove lend, or {columns}"
        )


def _fits_a_pool(campaign: Campaign) -> None:
    if campaign.strategy is not Strategy.THROUGHPUT:
        return
    if campaign.lenders:
        raise ValueError(
            "lend is for recipients that were assigned before: with the strategy 'throughput',"
            " connections that have room claim more anyway; remove lend"
        )
    if campaign.standbys:
        raise ValueError(
            f"connection {campaign.standbys[0]!r} is a standby, but with the strategy 'throughput'"
            " all connections send: remove standby, or choose another strategy"
        )
    if campaign.reassign_after_minutes is not None:
        raise ValueError(
            "reassign_after_minutes is for recipients that were assigned before: with the strategy"
            " 'throughput', the other connections send to them anyway; remove the minutes"
        )
    if campaign.is_paced:
        raise ValueError(
            "finish_by and spread_over slow a campaign down, and the strategy 'throughput' ends"
            " it as early as possible: remove them, or choose another strategy"
        )
    if campaign.sending_window.in_own_zones:
        raise ValueError(
            "with the strategy 'throughput' there is one sending window for all recipients:"
            " leave zone_column and country_column empty, or choose another strategy"
        )
    if campaign.canary:
        raise ValueError(
            "a canary is a part of each connection's recipients, which the strategy"
            " 'throughput' does not know before: remove the canary, or choose another strategy"
        )


def _failover_is_whole(campaign: Campaign) -> None:
    if campaign.on_connection_down is DownPolicy.REASSIGN:
        return
    if campaign.standbys:
        raise ValueError(
            f"connection {campaign.standbys[0]!r} is a standby, which is used only with"
            " on_connection_down 'reassign': set that"
        )
    if campaign.reassign_after_minutes is not None:
        raise ValueError(
            "reassign_after_minutes is for on_connection_down 'reassign': set that, or remove"
            " the minutes"
        )


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_CHECKS: tuple[Callable[[Campaign], None], ...] = (
    _processes_fit_dispatch,
    _lending_needs_others,
    _finishes_once,
    _affinity_fits_strategy,
    _canary_has_a_judge,
    _fits_time_zones,
    _fits_a_pool,
    _routes_fit_strategy,
    _failover_is_whole,
)
