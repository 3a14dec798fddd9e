"""A study of parents: the same orders under every setting, each alone in a market in which nobody else of us trades."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from backtest.sweep.figures import figures_of
from backtest.sweep.settings import ParentsStudy
from backtest.sweep.work import Work
from core.chance import generator
from core.contracts import OrderIntent
from core.errors import DataError
from execution.batch_alone import reports_alone
from execution.batch_intake import Handed
from execution.contracts import ExecutionReport
from execution.intake import Intake
from execution.stored import StoredMarket
from execution.venue import Venue

STRATEGY: Final = "sweep"
_NS: Final = 1_000_000_000


def study(work: Work, wanted: ParentsStudy, market: StoredMarket) -> dict[str, Any]:
    """Figures and orders of all parents. No gate stands before them: nobody's account is at stake."""
    place = market.venue
    intake = Intake(
        instrument=place.instrument,
        config=None if work.whole else work.execution,
        volumes=place.volumes,
        arguments=place.executor_arguments,
        seed=work.seed,
    )
    return figures_of(_worked(place, intake, list(_parents(work, wanted, market))))


def _parents(work: Work, wanted: ParentsStudy, market: StoredMarket) -> Iterator[tuple[int, OrderIntent]]:
    """The bar at whose close each parent starts, and the parent, in order of time: the same for all settings."""
    bars, instrument = market.bars, market.instrument
    last = int(bars.ts_close_ns[-1]) - max(wanted.seconds) * _NS
    room = int(np.searchsorted(bars.ts_close_ns, last, side="right"))
    if room == 0:
        raise DataError(f"the bars of {work.symbol} are over before a parent of {max(wanted.seconds)} seconds is")
    chance = generator(work.seed, "sweep parents", work.symbol)
    # One row of draws per parent, whatever becomes of it: more parents with the same seed are these and others.
    draws = chance.random((wanted.parents, 4))
    low, high = map(math.log, wanted.notional)
    for number in np.argsort(draws[:, 0], kind="stable").tolist():
        where, size, side, seconds = draws[number].tolist()
        bar = int(where * room)
        price = float(bars.close[bar])
        notional = math.exp(low + size * (high - low))
        qty = instrument.qty(max(1, instrument.lots(notional / (price * instrument.multiplier))))
        meta: dict[str, Any] = {"duration_seconds": wanted.seconds[int(seconds * len(wanted.seconds))]}
        if not work.whole:
            meta |= {"algo_type": work.execution.routing.default_algo, "params": work.parent_params}
        yield (
            bar,
            OrderIntent(
                f"p{number}",
                int(bars.ts_close_ns[bar]),
                STRATEGY,
                work.symbol,
                "buy" if side < 0.5 else "sell",
                "market",
                qty,
                meta=meta,
            ),
        )


def _worked(place: Venue, intake: Intake, parents: Sequence[tuple[int, OrderIntent]]) -> list[ExecutionReport]:
    """The report of each, in their order; of those that their algorithm refuses too."""
    handed: list[Handed] = []
    refused: dict[int, ExecutionReport] = {}
    for number, (bar, told) in enumerate(parents):
        now_ns, price = told.ts_local_ns, float(place.bars.close[bar])
        try:
            handed.append(Handed(intake.work(intake.request(told, now_ns, price)), now_ns, bar))
        except ValueError as error:
            refused[number] = intake.refusal(told, now_ns, price, str(error), place.settings)
    reports = iter(reports_alone(place, handed))
    return [refused[number] if number in refused else next(reports) for number in range(len(parents))]
