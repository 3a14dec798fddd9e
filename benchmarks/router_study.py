"""Does the router pay? A month of real bars, the same parents under the router and under each algorithm alone.

    python -m benchmarks.router_study [--symbol NEARUSDT|FILUSDT] [--skip-days N] [--parents N] [--seeds N]
                                      [--learning NAME=VALUE ...] [--data FOLDER]

Perpetuals, one-minute bars from August 2023 on, after `--skip-days` (left out where the file is absent). Parents of
mixed size, side and horizon start at random times; each is played alone in the market, under every arm, so the same
parent has a cost under all of them. The router walks forward: it decides with what was known at the time, and learns
only from parents that have ended. Its draws are repeated with several seeds, and a parent counts with their mean.

The cost is the router's objective: the implementation shortfall, and for what was not filled what it takes to buy it
after all (`unfilled_bps`), or an algorithm that does nothing would cost nothing. Settings are those of
config/execution.yaml, with fees of 2 and 5 bps. Intervals are paired, clustered by day.
"""

from __future__ import annotations

import argparse
import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.tracking import _klines
from core.bars import Bars
from core.chance import generator
from core.contracts import OrderIntent, Side
from core.instrument import Instrument
from execution.config import ExecutionConfig, load
from execution.contracts import ExecutionReport
from execution.costs.comparison import Order, contrast_orders
from execution.desk import Desk
from execution.intake import Intake
from execution.routing.attempts import with_arm
from execution.routing.chooser import Asked, Chooser
from execution.routing.markets import VenueMarkets
from execution.routing.situation import Situation
from execution.slippage import slippage_model
from execution.spread import bar_spread
from execution.tca import measure
from execution.venue import Venue, venue
from research.times import iso

REAL: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "real"
FILE: Final = "binance_usdm_1m_fil_near.parquet"
TICKS: Final = {"NEARUSDT": "0.001", "FILUSDT": "0.001"}
DAY_NS: Final = 86_400_000_000_000
MINUTE_NS: Final = 60_000_000_000
HISTORY_DAYS, DAYS = 8, 30
SECONDS: Final = (240, 900, 1800, 3600, 7200, 14_400)
NOTIONAL: Final = (1_000.0, 100_000.0)  # log-uniform
EXPLORE_BELOW, LARGE = 25_000.0, 50_000.0


@dataclass(frozen=True)
class Parent:
    number: int
    start_ns: int
    side: Side
    qty: float
    seconds: int


def main() -> None:
    arguments = argparse.ArgumentParser(description="The router on real bars.")
    arguments.add_argument("--parents", type=int, default=1500)
    arguments.add_argument("--seeds", type=int, default=10)
    arguments.add_argument("--symbol", choices=TICKS, default="NEARUSDT")
    arguments.add_argument("--skip-days", type=int, default=0, help="of the file's, before the history begins")
    arguments.add_argument("--learning", nargs="*", default=[], metavar="NAME=VALUE", help="of `routing.learning`")
    arguments.add_argument("--data", type=Path, default=REAL)
    chosen = arguments.parse_args()
    if not (chosen.data / FILE).is_file():
        print(f"left out: {FILE} is not in {chosen.data}")
        return
    told = {name: float(text) for name, _, text in (word.partition("=") for word in chosen.learning)}
    study = Study(chosen.data / FILE, chosen.symbol, chosen.parents, skip_days=chosen.skip_days, **told)
    groups, filled = study.groups(chosen.seeds), study.filled()
    print(f"{len(study.parents)} parents of {study.about()}\n")
    for line in table(groups, filled):
        print(line)


class Study:
    """The market, the parents, and what each parent cost under each arm, played when it is asked for."""

    def __init__(self, file: Path, symbol: str, count: int, *, skip_days: int = 0, **learning_told: float) -> None:
        settings = load(Path(__file__).resolve().parents[1] / "config" / "execution.yaml")
        told: dict[str, Any] = {"explore_below": EXPLORE_BELOW, **learning_told}
        learning = replace(settings.routing.learning, **told)
        self.symbol = symbol
        self.settings = replace(
            settings, routing=replace(settings.routing, learning=learning, large_order_threshold=LARGE)
        )
        self.venue = market(file, symbol, self.settings, skip_days)
        self.arms = self.settings.routing.learning.arms
        self.parents = parents_of(self.venue, count)
        self._reports: dict[tuple[int, str], ExecutionReport] = {}
        markets = VenueMarkets(self.venue)
        self.situations = [
            Situation(
                symbol=symbol,
                side=parent.side,
                quantity=parent.qty,
                duration_s=parent.seconds,
                market=markets(symbol, parent.start_ns, self._price(parent)),
            )
            for parent in self.parents
        ]
        self.unfilled_bps = [one.unfilled_bps(learning.unfilled_risk) for one in self.situations]

    def about(self) -> str:
        notionals = [parent.qty * self._price(parent) for parent in self.parents]
        first, last = self.parents[0].start_ns, self.parents[-1].start_ns
        days = (last - first) / DAY_NS
        return (
            f"{self.symbol} over {days:.0f} days from {iso(first)[:10]}, {np.median(notionals):,.0f} USDT in the median"
        )

    def groups(self, seeds: int) -> dict[str, list[Order]]:
        """Orders of the router in each mode, and of each arm alone."""
        learnt = [self.routed("learn", seed) for seed in range(seeds)]
        return {
            "learn": [mean_of(orders) for orders in zip(*learnt, strict=True)],
            "rules": self.routed("rules", 0),
            **{arm: [self.order(parent, arm) for parent in self.parents] for arm in self.arms},
            "any at random": [mean_of([self.order(parent, arm) for arm in self.arms]) for parent in self.parents],
        }

    def filled(self) -> dict[str, float]:
        """The part of all quantity that each arm filled."""
        total = math.fsum(parent.qty for parent in self.parents)
        return {
            arm: math.fsum(self.report(parent, arm).filled_quantity for parent in self.parents) / total
            for arm in self.arms
        }

    def routed(self, mode: str, seed: int) -> list[Order]:
        """Every parent under the arm that the router chose, walking forward."""
        algorithms = [one.type for one in self.settings.algorithms]
        chooser = Chooser(self.settings, mode, algorithms=algorithms, seed=seed)
        ended: list[tuple[int, int]] = []
        orders: list[Order] = []
        chosen: dict[int, str] = {}
        for parent in self.parents:
            while ended and ended[0][0] <= parent.start_ns:
                number = heapq.heappop(ended)[1]
                report = self.report(self.parents[number], chosen[number])
                chooser.observe(replace(report, execution_id=f"x-{number}"))
            decision = chooser.decide(
                Asked(f"x-{parent.number}", "", "study"), self.situations[parent.number], parent.start_ns
            )
            chooser.begin(decision)
            chosen[parent.number] = decision.arm
            report = self.report(parent, decision.arm)
            heapq.heappush(ended, (report.end_ts_ns or parent.start_ns, parent.number))
            orders.append(self.order(parent, decision.arm))
        return orders

    def report(self, parent: Parent, arm: str) -> ExecutionReport:
        key = (parent.number, arm)
        if key not in self._reports:
            self._reports[key] = self._played(parent, arm)
        return self._reports[key]

    def order(self, parent: Parent, arm: str) -> Order:
        report = self.report(parent, arm)
        cost = measure(report)
        missed = (1 - report.fill_rate) * self.unfilled_bps[parent.number] / 1e4 * cost.notional
        return Order(cost.shortfall + missed, cost.notional, parent.start_ns // DAY_NS, (parent.number,))

    def _played(self, parent: Parent, arm: str) -> ExecutionReport:
        place = self.venue
        intake = Intake(
            instrument=place.instrument, config=self.settings, volumes=place.volumes, arguments=place.executor_arguments
        )
        intent = OrderIntent(
            f"p-{parent.number}", parent.start_ns, "study", self.symbol, parent.side, "market", parent.qty
        )
        told = with_arm(intent, arm, duration_s=parent.seconds)
        worked = intake.work(intake.request(told, parent.start_ns, self._price(parent)))
        reports: list[ExecutionReport] = []
        desk = Desk(place.market(), place.tape, None, place.settings, lambda _fill, _bar: None, reports.append)
        bar = int(np.searchsorted(place.bars.ts_close_ns, parent.start_ns, side="right")) - 1
        desk.start(worked, parent.start_ns, bar)
        k = desk.next_bar(bar)
        while k is not None:
            desk.play(k)
            k = desk.next_bar(k)
        desk.finish(len(place.bars) - 1)
        return reports[0]

    def _price(self, parent: Parent) -> float:
        bars = self.venue.bars
        return float(bars.close[int(np.searchsorted(bars.ts_close_ns, parent.start_ns, side="right")) - 1])


def market(file: Path, symbol: str, settings: ExecutionConfig, skip_days: int) -> Venue:
    bars = _klines(file, symbol, "open_time")
    first = (int(bars.ts_open_ns[0]) // DAY_NS + skip_days) * DAY_NS
    bars = bars[int(np.searchsorted(bars.ts_open_ns, first)) :]
    split = int(np.searchsorted(bars.ts_open_ns, first + HISTORY_DAYS * DAY_NS))
    stop = int(np.searchsorted(bars.ts_open_ns, first + (HISTORY_DAYS + DAYS + 1) * DAY_NS))
    instrument = Instrument(symbol, "binance_usdm", tick=TICKS[symbol], lot="1", maker_fee_bps=2.0, taker_fee_bps=5.0)
    now, before = bars[split:stop], bars[:split]
    spread = bar_spread(now, instrument, None, settings.fills.assumed_spread_bps, before)
    return venue(
        now, instrument, slippage_model(settings.slippage), spread=spread, fills=settings.fills,
        permanent_share=settings.slippage.permanent_share, before=before,
    )  # fmt: skip


def parents_of(place: Venue, count: int) -> list[Parent]:
    """Parents at random times of the month, the same ones every time."""
    chance = generator("router study")
    bars: Bars = place.bars
    minutes = np.sort(chance.choice(DAYS * 1440 - 1, count, replace=False))
    notionals = np.exp(chance.uniform(math.log(NOTIONAL[0]), math.log(NOTIONAL[1]), count))
    found = []
    for number, (minute, notional) in enumerate(zip(minutes.tolist(), notionals.tolist(), strict=True)):
        start_ns = int(bars.ts_open_ns[0]) + (minute + 1) * MINUTE_NS
        price = float(bars.close[int(np.searchsorted(bars.ts_close_ns, start_ns, side="right")) - 1])
        side: Side = "buy" if chance.random() < 0.5 else "sell"
        found.append(Parent(number, start_ns, side, float(round(notional / price)), int(chance.choice(SECONDS))))
    return found


def mean_of(orders: Sequence[Order]) -> Order:
    """One order that cost what these did in the mean."""
    return replace(orders[0], cost=math.fsum(order.cost for order in orders) / len(orders))


def table(groups: dict[str, list[Order]], filled: dict[str, float]) -> list[str]:
    """A row per group: its mean, and what the router in both modes costs more (+) or less (-)."""
    lines = [
        "| worked by | filled | mean cost, bps | `learn` less this | 95 % | `rules` less this | 95 % |",
        "|---|---:|---:|---:|---|---:|---|",
    ]
    for name, orders in groups.items():
        mean = 1e4 * math.fsum(order.cost for order in orders) / math.fsum(order.notional for order in orders)
        cells = [name, f"{filled[name]:.0%}" if name in filled else "", f"{mean:.2f}"]
        for router in ("learn", "rules"):
            if name in ("learn", router):
                cells += ["", ""]
                continue
            (one,) = contrast_orders({router: groups[router], name: groups[name]})
            cells += [f"{one.mean:+.2f}", f"{one.interval.low:+.2f} to {one.interval.high:+.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
