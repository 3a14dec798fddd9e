"""Whether to rest first or to take at once, for one child: what `limit_then_cross` bets on."""

from __future__ import annotations

import math

from core import checks


def break_even_fill_probability(
    half_spread_bps: float,
    taker_fee_bps: float,
    maker_rebate_bps: float,
    adverse_selection_bps: float,
    drift_bps: float,
) -> float:
    """The chance of being filled above which resting at the near touch beats taking now.

    Resting and being filled saves 2 h + f + r against taking and loses the adverse selection a; not being filled costs
    the drift d before one takes after all. Post while p (2 h + f + r - a) > (1 - p) d: p* = d / (2 h + f + r - a + d).

    All in basis points: half the spread h, the taker's fee f, the maker's rebate r (negative for a fee), the move
    against us after a fill a, the move away from us while we wait d. Where resting saves nothing: 1, never post; where
    waiting costs nothing: 0, always post.

    Raises: ValueError for a number that is not finite, or a spread or drift below 0.
    """
    checks.not_negative("half_spread_bps", half_spread_bps)
    checks.not_negative("drift_bps", drift_bps)
    for name, value in (
        ("taker_fee_bps", taker_fee_bps),
        ("maker_rebate_bps", maker_rebate_bps),
        ("adverse_selection_bps", adverse_selection_bps),
    ):
        checks.finite(name, value)
    saved = math.fsum((2 * half_spread_bps, taker_fee_bps, maker_rebate_bps, -adverse_selection_bps))
    if saved <= 0:
        return 1.0
    return drift_bps / (saved + drift_bps)
