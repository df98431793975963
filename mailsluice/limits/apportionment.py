"""Share recipients out to routes: exact integers from exact decimals, never floats."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction


def quotas(total: int, shares: Sequence[Decimal]) -> list[int]:
    """Share `total` recipients out by largest remainder (Hamilton's method).

    Every route gets the floor of its ideal number. The recipients that are left go to the routes
    with the largest remainders, one each; of equal remainders the earlier route's counts first. The
    sum is `total`, and each quota is the floor or the ceiling of its ideal.

    Args:
        total: Number of recipients.
        shares: Weights of the routes; they need not add up to 1 or 100.

    Raises:
        ValueError: `total` or a share is negative, or all shares are zero.
    """
    weights = [Fraction(share) for share in shares]
    if total < 0 or min(weights, default=0) < 0 or sum(weights) <= 0:
        raise ValueError(
            f"cannot share {total} recipients out by {[str(share) for share in shares]}: give a "
            "total of 0 or more, no negative share, and at least one share above 0"
        )
    ideals = [total * weight / sum(weights) for weight in weights]
    result = [ideal.numerator // ideal.denominator for ideal in ideals]
    by_remainder = sorted(range(len(ideals)), key=lambda route: result[route] - ideals[route])
    for route in by_remainder[: total - sum(result)]:
        result[route] += 1
    return result


def round_robin_quotas(total: int, batch_size: int, routes: int) -> list[int]:
    """Count the recipients of each of `routes` routes that take turns, a batch at a time.

    Recipient i is in batch i // `batch_size`, and batch b goes to route b mod `routes`.
    """
    cycles, rest = divmod(total, batch_size * routes)
    return [
        cycles * batch_size + min(max(rest - route * batch_size, 0), batch_size)
        for route in range(routes)
    ]
