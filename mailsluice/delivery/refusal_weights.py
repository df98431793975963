"""Weigh each reply as evidence about a connection, in the two tests of `suspects.py`. Pure.

"550 Invalid recipient" may mean one dead address, or an account over its daily limit: no list of
words is complete, and one text serves both. The replies to the other recipients tell the two apart.
So a refused recipient is a suspect first, and a sequential test runs (Page's CUSUM, 1954, with the
likelihood ratio of Wald, 1945) between two hypotheses:

- the connection works, and recipients are refused at its own rate so far, assumed to be at least
  30 % (`DEAD`), the rate of a very bad list;
- the connection refuses everybody, but for one in a hundred (`REFUSES`).

Each refusal multiplies the odds by up to 3.3, each acceptance divides them by 70; they never fall
below even. At odds of a thousand million to one (`ODDS`) the connection is convicted: where it has
refused up to 30 % so far, after 18 refusals in a row. Lorden (1971) bounds the false alarms of such
a test: on average at most one in `ODDS` recipients, so one in a thousand campaigns of a million
recipients of whom 30 % are dead; tests/unit/test_suspects_simulation.py checks the bound.

A second test of the same kind, with the same odds, detects a server that begins to refuse many
recipients, though not all, such as an account that from now on may send to some domains only:

- the connection works, and recipients are refused at its own rate so far, assumed to be as high as
  its experience allows (`at_most`), and at least 5 % (`USUAL`);
- the connection refuses every other recipient (`HALF`).

Where none of 100 was refused, each refusal multiplies these odds by 7.5, each acceptance divides
them by 1.9. Experience is what was judged before the present doubt. Where experience does not
exclude a rate of 30 % (fewer than 20 recipients, or a list with very many dead addresses), this
test adds nothing: one half may be the list's own rate. The bound on the rate is wrong now and then,
mostly by a little: a list of which every other address is dead begins with 20 good ones once in a
million times.

A refusal whose words are about the connection ("relay access denied") meets a single recipient of a
working connection in less than one case of a thousand (`SPOKEN`): three in a row convict.

Recipients that were deferred before are no sample of the list: see `rate_after`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from mailsluice.delivery.evidence import at_most

REFUSES = 0.99
DEAD = 0.30
HALF = 0.50
USUAL = 0.05
SPOKEN = 0.0009
ODDS = 1e9
_WORST = 0.90
_PRIOR = 20


class Experience(NamedTuple):
    """How many recipients a connection has accepted and refused."""

    accepted: int = 0
    refused: int = 0


class Weights(NamedTuple):
    """How much a reply adds to the evidence of each test, as a logarithm of odds."""

    everybody: float
    """That the connection refuses every recipient."""
    many: float
    """That the connection refuses many more recipients than before."""


def refusal_weights(
    experience: Experience,
    before_doubt: Experience,
    *,
    is_final: bool,
    is_spoken: bool,
    least: float,
) -> tuple[Weights, Weights]:
    """The weights of a refusal, and of each acceptance after it.

    Args:
        experience: The recipients of the connection that are decided.
        before_doubt: The recipients that were judged before the present doubt began.
        is_final: Whether the recipient fails if the refusal is its own.
        is_spoken: Whether the words of the refusal are about the connection.
        least: The least rate at which recipients like this one are refused.
    """
    rate = min(max(own_rate(*experience), DEAD), _WORST)
    usual = max(USUAL, at_most(before_doubt.refused, sum(before_doubt)))
    everybody = math.log(REFUSES / (SPOKEN if is_spoken else max(rate, least)))
    shows_many = is_final and not least and usual < DEAD
    refusal = Weights(everybody, math.log(HALF / usual) if shows_many else 0.0)
    acceptance = Weights(
        math.log((1 - REFUSES) / (1 - rate)), math.log((1 - HALF) / (1 - min(usual, DEAD)))
    )
    return refusal, acceptance


def own_rate(accepted: int, refused: int) -> float:
    """The rate at which a connection refuses recipients; `DEAD` where it has no experience."""
    return (refused + _PRIOR * DEAD) / (accepted + refused + _PRIOR)


def rate_after(attempts: int, *, is_plain: bool) -> float:
    """The least rate at which recipients that were deferred so many times before are refused.

    Recipients that are left when all others have got their mail are no sample of the list. A server
    with a greylist checks the mailbox later, so the dead addresses come back together, with no
    other recipients after them. `is_plain`: the status says that there is no such mailbox.
    """
    if not attempts:
        return 0.0
    return _WORST if is_plain else DEAD
