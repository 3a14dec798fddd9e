"""The trader on recorded trades and quotes: the tick desk's decisions, and the same after it was killed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from core.chance import generator
from core.contracts import FillEvent, OrderIntent, RiskDecision
from execution.contracts import ALGO_TYPES
from execution.ticks.desk import TickDesk
from live.session import Session
from live.settings import ReplayFeed
from live.wanted import Wanted
from research.times import parse_ns
from risk.gate import RiskGate
from risk.kill import KillSwitch
from tests.lines import KilledError
from tests.traders import SYMBOL, Life, fillwright, reported, session, settings

START_NS = parse_ns("2025-01-01")
SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half an hour of trades, a second or so apart, and a quote with each."""
    folder = tmp_path_factory.mktemp("ticks")
    draws = generator("ticks")
    n = 1500
    ts = START_NS + draws.integers(200, 2200, n).cumsum() * 1_000_000
    mid = 6500 + draws.integers(-1, 2, n).cumsum()
    side = draws.integers(0, 2, n)
    trades = {"ts": ts, "price": (mid + side) / 1000, "qty": draws.integers(1000, 90_000, n) / 100}
    words = pl.Series("side", ["buy" if one else "sell" for one in side.tolist()])
    pl.DataFrame(trades).with_columns(words).write_csv(folder / "trades.csv")
    shown = {"bid_qty": draws.integers(1000, 60_000, n) / 100, "ask_qty": draws.integers(1000, 60_000, n) / 100}
    quotes = {"ts": ts + 100_000_000, "bid": mid / 1000, "ask": (mid + 1) / 1000, **shown}
    pl.DataFrame(quotes).write_csv(folder / "quotes.csv")
    for kind in ("trades", "quotes"):
        words_ = ("--kind", kind, "--map", "ts=ts", "--time-unit", "ns", "--tick", "0.001", "--lot", "0.01")
        done = fillwright(
            folder,
            "data",
            "import",
            f"{kind}.csv",
            "--symbol",
            SYMBOL,
            "--venue",
            "paper",
            "--data-dir",
            "store",
            *words_,
        )
        assert done.returncode == 0, done.stderr
    return folder / "store"


def made(data: Path, folder: Path, kind: Any, orders: tuple[Wanted, ...]) -> Life:
    chosen = replace(settings(folder, strategies=()), feed=ReplayFeed(symbol=SYMBOL, kind=kind, speed="max"))

    def fresh() -> Session:
        return session(data, chosen)

    return Life(fresh, KillSwitch(folder / "kill"), orders=orders)


def parent(algo: str) -> Wanted:
    given = {"id": "a", "symbol": SYMBOL, "side": "buy", "quantity": 6000.0, "algo": algo, "duration_seconds": 900}
    return Wanted.from_dict({**given, "start": "2025-01-01T00:01"})


@pytest.mark.parametrize("kind", ["trades", "quotes"])
@pytest.mark.parametrize("algo", ALGO_TYPES)
def test_the_trader_sends_what_the_tick_desk_sends(algo: str, kind: str, data: Path, tmp_path: Path) -> None:
    played = made(data, tmp_path, kind, (parent(algo),))
    trader = played.run()
    fresh = played.session()
    venue, asked = fresh.market.venue, []
    fills: list[FillEvent] = []

    class Listening(RiskGate):
        def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
            decision = super().check(intent, now_ns)
            asked.append((intent, now_ns, decision.allowed))
            return decision

    gate = Listening(fresh.files.limits, kill=played.kill, instruments={SYMBOL: fresh.instrument})
    desk = TickDesk(venue.market(), venue.tape, gate, {}, lambda fill, _ns: fills.append(fill))
    (request,) = trader.engine.parents.values()
    desk.start(fresh.intake().work(request), request.start_ns)
    desk.run(fresh.tape.last_ns)
    assert asked
    assert played.journal.orders() == asked
    assert trader.fills == fills


@pytest.mark.parametrize("algo", ["TWAP", "Iceberg"])
def test_killed_on_ticks_it_trades_as_if_nothing_had_happened(algo: str, data: Path, tmp_path: Path) -> None:
    # pitfall 28
    whole = made(data, tmp_path, "quotes", (parent(algo),))
    untouched = whole.run()
    again = made(data, tmp_path, "quotes", (parent(algo),))
    lines = len(whole.journal.written)
    for number in range(1, 5):
        again.journal.dies_at = max(lines * number // 5, len(again.journal.written) + 1)
        again.journal.torn = number % 2 == 0
        with suppress(KilledError):
            again.run()
    again.journal.dies_at = None
    trader = again.run()
    assert [one for one, *_ in again.journal.orders()] == [one for one, *_ in whole.journal.orders()]
    assert trader.fills == untouched.fills
    assert reported(trader) == reported(untouched)
