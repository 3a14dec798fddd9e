"""The trader on recorded data: the backtest's decisions, and the same whenever it is killed and started again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from backtest.engine import BacktestEngine, BacktestResult
from backtest.session import Wanted as BacktestWanted
from backtest.session import prepare, read_settings
from core.contracts import FillEvent, OrderIntent, RiskDecision, sign
from execution.contracts import ALGO_TYPES
from execution.venue import Venue
from live.answers import answer
from live.recovery import FORGOTTEN
from live.session import OtherSettingsError, Session
from live.settings import ReplayFeed
from live.tape import BarTape
from live.wanted import Wanted
from research.data_reader import DataReader
from research.times import parse_ns
from risk.gate import RiskGate
from risk.kill import KillSwitch
from strategies.base import Strategy
from tests.lines import KilledError, Lines
from tests.traders import (
    ROOT,
    STRATEGY,
    SYMBOL,
    Life,
    execution_file,
    filled,
    reported,
    sample,
    session,
    settings,
    to_the_end,
    until,
)

HOUR_NS = 3_600_000_000_000
START_NS = parse_ns("2025-01-01")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("market"))


@pytest.fixture
def life(data: Path, tmp_path: Path) -> Callable[..., Life]:
    """A trader's lives under these settings."""

    def made(orders: tuple[Wanted, ...] = (), **wanted: Any) -> Life:
        chosen = settings(tmp_path, **wanted)

        def fresh() -> Session:
            return session(data, chosen)

        return Life(fresh, KillSwitch(tmp_path / "kill"), orders=orders)

    return made


def order(name: str, side: str = "buy", quantity: float = 300.0, **more: Any) -> Wanted:
    given = {"id": name, "symbol": SYMBOL, "side": side, "quantity": quantity, "duration_seconds": 3600, **more}
    return Wanted.from_dict(given)


def backtested(data: Path, folder: Path, algo: str) -> tuple[BacktestResult, list[tuple[OrderIntent, int, bool]]]:
    """The same strategy over the same bars in a backtest, with everything that its gate was asked."""
    asked: list[tuple[OrderIntent, int, bool]] = []

    class Listening(RiskGate):
        def check(self, intent: OrderIntent, now_ns: int) -> RiskDecision:
            decision = super().check(intent, now_ns)
            asked.append((intent, now_ns, decision.allowed))
            return decision

    wanted = read_settings(
        BacktestWanted(
            strategy=STRATEGY,
            symbol=SYMBOL,
            execution_config=execution_file(folder, algo),
            risk_config=ROOT / "config" / "risk.yaml",
            strategies_config=ROOT / "config" / "strategies.yaml",
        )
    )
    ready = prepare(wanted, DataReader(data))
    gate = Listening(wanted.limits, kill=KillSwitch(folder / "kill"), instruments={SYMBOL: ready.instrument})
    assert isinstance(ready.venue, Venue)
    assert isinstance(wanted.strategy, Strategy)
    engine = BacktestEngine(ready.venue, wanted.strategy, execution=wanted.execution, gate=gate, capital=10_000.0)
    return engine.run(), asked


@pytest.mark.parametrize("algo", ALGO_TYPES)
def test_the_trader_sends_what_the_backtest_sends(
    algo: str, data: Path, tmp_path: Path, life: Callable[..., Life]
) -> None:
    result, asked = backtested(data, tmp_path, algo)
    played = life(algo=algo)
    trader = played.run()
    assert len(asked) > 5
    assert played.journal.orders() == asked
    assert trader.fills == result.fills
    account = trader.ledger.account(STRATEGY, trader.now_ns, float(trader.session.market.bars.close[-1]))
    assert account.cash == pytest.approx(result.cash[-1], abs=1e-8)
    assert account.position_qty == result.position[-1]
    assert account.equity == pytest.approx(result.equity[-1], abs=1e-9)


@pytest.mark.parametrize(("algo", "deaths"), [("TWAP", 5), ("Iceberg", 4), ("VWAP", 2)])
def test_killed_again_and_again_a_strategy_trades_as_if_nothing_had_happened(
    algo: str, deaths: int, life: Callable[..., Life]
) -> None:
    # pitfall 27, pitfall 28: strategies, accounts and parents come back as they were, at whatever line it died
    whole = life(algo=algo)
    untouched = whole.run()
    lines = len(whole.journal.written)
    again = life(algo=algo)
    for number in range(1, deaths + 1):
        again.journal.dies_at = max(lines * number // (deaths + 1), len(again.journal.written) + 1)
        again.journal.torn = number % 2 == 0
        with suppress(KilledError):
            again.run()
    again.journal.dies_at = None
    trader = again.run()
    assert [one for one, *_ in again.journal.orders()] == [one for one, *_ in whole.journal.orders()]
    assert trader.fills == untouched.fills
    assert reported(trader) == reported(untouched), "benchmarks are those of the whole life"
    assert trader.ledger.account(STRATEGY, 0, 6.0) == untouched.ledger.account(STRATEGY, 0, 6.0)
    sent = [line["intent"]["intent_id"] for line in again.venue.read() if line["intent"]]
    assert len(set(sent)) == len(sent), "sent twice"


OVERLAPPING = tuple(
    order(f"p-{number}", quantity=200.0 + 10 * number, algo="TWAP", duration_seconds=5400,
          start=f"2025-01-01T0{number}:10", params={"slice_count": 30})
    for number in range(6)
)  # fmt: skip


def dies_anywhere(data: Path, tmp_path: Path, every: int) -> None:
    # pitfall 28: several parents decide at one moment; the venue must get their children in the order of the first time
    tape = ReplayFeed(symbol=SYMBOL, speed="max", end="2025-01-01T08:00")
    base = session(data, settings(tmp_path, strategies=(), feed=tape))

    def fresh() -> Session:
        return replace(base, tape=BarTape(base.market.venue.market()))  # type: ignore[arg-type, union-attr]

    def made() -> Life:
        return Life(fresh, KillSwitch(tmp_path / "kill"), orders=OVERLAPPING)

    whole = made()
    untouched = whole.run()
    for name in ("journal", "venue"):
        for at in range(2, len(getattr(whole, name).written), every):
            for torn in (False, True):
                life = made()
                lines: Lines = getattr(life, name)
                lines.dies_at, lines.torn = at, torn
                with suppress(KilledError):
                    life.run()
                lines.dies_at = None
                trader = life.run()
                assert trader.fills == untouched.fills, f"died at line {at} of the {name}, torn: {torn}"
                assert reported(trader) == reported(untouched), f"died at line {at} of the {name}"


def test_with_parents_that_overlap_it_may_die_at_any_line(data: Path, tmp_path: Path) -> None:
    dies_anywhere(data, tmp_path, 173)


@pytest.mark.slow
def test_with_parents_that_overlap_it_may_die_at_every_line(data: Path, tmp_path: Path) -> None:
    dies_anywhere(data, tmp_path, 4)


def test_a_finished_tape_is_played_once(life: Callable[..., Life]) -> None:
    played = life()
    first = played.run()
    before = played.journal.orders()
    second = played.run()
    assert second.fills == first.fills
    assert played.journal.orders() == before
    assert [line["epoch"] for line in played.journal.read() if line["k"] == "start"] == [1, 2]


# ---- a venue that has lost what it knew


@pytest.mark.parametrize("kept", [0.0, 0.4, 0.8])
def test_a_venue_that_has_forgotten_is_asked_and_nothing_is_guessed(kept: float, life: Callable[..., Life]) -> None:
    # pitfall 28
    played = life(strategies=(), orders=(order("a", params={"slice_count": 30}), order("b", "sell")))
    trader = played.open()
    while trader.now_ns < START_NS + HOUR_NS // 2 or not trader.venue.open_orders():
        assert trader.step()
    before = {one.fill_id for one in trader.fills}
    del played.venue.written[int(kept * len(played.venue.written)) :]
    trader = played.open()
    live = {one.intent.intent_id for one in trader.engine.orders.live()}
    assert {one.intent_id for one in trader.venue.open_orders()} <= live, "what is open there is at work here"
    assert {one.fill_id for one in trader.venue.fills_since(0)} <= {one.fill_id for one in trader.fills}
    assert before <= {one.fill_id for one in trader.fills}, "what was heard has happened"
    to_the_end(trader)
    assert not list(trader.engine.orders.live())
    assert not trader.venue.open_orders()
    held = sum(sign(fill.side) * fill.qty for fill in trader.fills)
    assert trader.gate.position(SYMBOL) == pytest.approx(held)
    if kept == 0.0:
        closed = [
            line["e"][1] for line in played.journal.read() if line["k"] == "heard" and line["e"][0] == "OrderClosed"
        ]
        assert FORGOTTEN in [one["reason"] for one in closed]


# ---- settings


def test_other_settings_are_refused_by_name(life: Callable[..., Life]) -> None:
    played = life(orders=(order("a"),), strategies=())
    until(played.open(), START_NS + HOUR_NS)
    other = life(strategies=(), capital=20_000.0)
    other.journal, other.venue = played.journal, played.venue
    with pytest.raises(OtherSettingsError, match=r"capital was 10000\.0, is 20000\.0.*--accept-settings"):
        other.open()
    assert len([line for line in played.journal.read() if line["k"] == "start"]) == 1, "nothing was written"


def test_accepted_settings_leave_parents_at_work_under_the_old_ones(life: Callable[..., Life]) -> None:
    played = life(orders=(order("a"),), strategies=())
    whole = life(orders=(order("a"),), strategies=()).run()
    until(played.open(), START_NS + HOUR_NS // 4)
    other = life(strategies=(), algo="Iceberg")
    other.journal, other.venue = played.journal, played.venue
    trader = until(other.open(accept_settings=True), START_NS + 2 * HOUR_NS)
    trader.place(order("b"))
    to_the_end(trader)
    (a, b) = (trader.report(trader.name_of(order(name))) for name in "ab")
    assert (a.algo_type, b.algo_type) == ("TWAP", "Iceberg")
    assert [fill.fill_id for fill in a.fills] == [fill.fill_id for fill in whole.fills]


# ---- requests


def test_an_order_that_is_sent_twice_is_worked_once(life: Callable[..., Life]) -> None:
    # pitfall 18: an id is one order, whoever sends it again, before a restart or after
    played = life(strategies=())
    trader = until(played.open(), START_NS + HOUR_NS)
    wanted = {"do": "new", "order": {"id": "o-1", "symbol": SYMBOL, "side": "buy", "quantity": 100.0}}
    assert answer(trader, wanted)["known"] is False
    assert answer(trader, wanted)["known"] is True
    trader = played.open()
    assert answer(trader, wanted)["known"] is True
    other = {**wanted, "order": {**wanted["order"], "quantity": 90.0}}  # type: ignore[dict-item]
    assert "belongs to another order: buy 100" in answer(trader, other)["error"]
    to_the_end(trader)
    assert filled(trader.fills) == pytest.approx(100.0)
    assert len([line for line in played.journal.read() if line["k"] == "parent"]) == 1


def test_requests_change_a_parent_and_are_remembered(life: Callable[..., Life]) -> None:
    played = life(strategies=(), orders=(order("a"),))
    trader = until(played.open(), START_NS + HOUR_NS // 4)
    assert answer(trader, {"do": "pause", "id": "a"})["parent"]["status"] == "paused"
    trader = played.open()
    assert answer(trader, {"do": "show", "id": "a"})["parent"]["status"] == "paused"
    assert answer(trader, {"do": "resume", "id": "a"})["parent"]["status"] == "working"
    assert answer(trader, {"do": "amend", "id": "a", "quantity": 120.0})["parent"]["quantity"] == 120.0
    to_the_end(trader)
    assert 100.0 < filled(trader.fills) <= 120.0
    assert answer(trader, {"do": "cancel", "id": "a"})["error"].startswith("a has ended")


def test_what_is_rearmed_is_in_the_journal_and_holds_after_a_restart(life: Callable[..., Life], tmp_path: Path) -> None:
    strict = yaml.safe_load((ROOT / "config" / "risk.yaml").read_text())
    strict["repeats"] |= {"window_s": 3600, "max_executions": 1}
    (tmp_path / "strict.yaml").write_text(yaml.safe_dump(strict))
    played = life(strategies=(), orders=(order("a"),), risk_config=str(tmp_path / "strict.yaml"))
    trader = until(played.open(), START_NS + HOUR_NS)
    (key,) = trader.gate.disabled
    assert answer(trader, {"do": "rearm"})["disabled"].keys() == {key}
    assert "by must be a name" in answer(trader, {"do": "rearm", "key": key, "reason": "looked"})["error"]
    assert "is not disabled" in answer(trader, {"do": "rearm", "key": "no", "by": "ann", "reason": "x"})["error"]
    assert answer(trader, {"do": "rearm", "key": key, "by": "ann", "reason": "looked"}) == {"ok": True, "disabled": {}}
    assert played.open().gate.disabled == {}
    written = [line for line in played.journal.read() if line["k"] == "rearm"]
    assert [(line["key"], line["by"], line["reason"]) for line in written] == [(key, "ann", "looked")]


def test_a_cancelled_parent_stays_cancelled(life: Callable[..., Life]) -> None:
    # pitfall 27
    played = life(strategies=(), orders=(order("a"),))
    trader = until(played.open(), START_NS + HOUR_NS // 4)
    assert answer(trader, {"do": "cancel", "id": "a", "reason": "no more"})["parent"]["reason"] == "no more"
    done = filled(trader.fills)
    assert filled(played.run().fills) == done > 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], 'a request is an object with "do"'),
        ({"do": "nwe"}, "did you mean 'new'"),
        ({"do": "show", "id": "b"}, "order 'b' is not here"),
        ({"do": "show"}, "the request lacks 'id'"),
        ({"do": "amend", "id": "a"}, "an amendment needs"),
        (
            {"do": "new", "order": {"symbol": SYMBOL, "side": "byu", "quantity": 1}},
            "side 'byu' is not known: did you mean 'buy'",
        ),
        (
            {"do": "new", "order": {"symbol": SYMBOL, "side": "buy", "quantity": "ten"}},
            "quantity must be a number, was 'ten'",
        ),
        ({"do": "new", "order": {"symbol": SYMBOL, "side": "buy"}}, "quantity is missing"),
        (
            {"do": "new", "order": {"symbol": SYMBOL, "side": "buy", "quantity": 1, "algo": "TWAB"}},
            "did you mean 'TWAP'",
        ),
        ({"do": "new", "order": {"symbol": SYMBOL, "side": "buy", "qantity": 1}}, "did you mean 'quantity'"),
    ],
)
def test_a_request_without_sense_gets_one_line(asked: object, said: str, life: Callable[..., Life]) -> None:
    trader = until(life(strategies=(), orders=(order("a"),)).open(), START_NS)
    found = answer(trader, asked)
    assert found["ok"] is False
    assert said in found["error"]


def test_an_order_that_cannot_be_worked_ends_as_a_report(life: Callable[..., Life]) -> None:
    # pitfall 14: refused, in writing, and the same answer after a restart
    played = life(strategies=())
    trader = until(played.open(), START_NS)
    wrong = {"do": "new", "order": {"id": "w", "symbol": SYMBOL, "side": "buy", "quantity": 10.0, "params": {"no": 1}}}
    for one in (trader, played.open()):
        parent = answer(one, wrong)["parent"]
        assert parent["status"] == "failed"
        assert "no" in parent["reason"]


def test_a_misspelled_symbol_does_not_use_up_the_id(life: Callable[..., Life]) -> None:
    trader = until(life(strategies=()).open(), START_NS)
    wanted = {"id": "o-1", "symbol": "ATOM/USTD", "side": "buy", "quantity": 100.0}
    assert "did you mean 'ATOM/USDT'" in answer(trader, {"do": "new", "order": wanted})["error"]
    assert answer(trader, {"do": "new", "order": {**wanted, "symbol": SYMBOL}})["known"] is False


# ---- kill, stop, restart


def test_a_kill_from_outside_ends_everything_and_holds(life: Callable[..., Life]) -> None:
    # pitfall 29
    played = life(strategies=(), orders=(order("a"), order("b", "sell")))
    trader = played.open()
    while not trader.venue.open_orders():
        assert trader.step()
    played.kill.trip("ann", "drill", 1)
    assert trader.watch_switch()
    assert not trader.venue.open_orders()
    assert not trader.engine.working
    orders = len(played.journal.orders())
    assert trader.place(order("c")).unfilled_reason == "the kill switch is tripped: no parent is taken in"  # type: ignore[union-attr]
    to_the_end(trader)
    trader = to_the_end(played.open())
    assert trader.engine.killed
    assert len(played.journal.orders()) == orders, "nothing was sent after the latch"
    assert {report.unfilled_reason for report in trader.engine.reports.values()} >= {"killed by ann: drill"}


def test_a_switch_that_vanished_is_tripped_again_and_one_cleared_by_name_is_not(life: Callable[..., Life]) -> None:
    played = life(strategies=())
    trader = until(played.open(), START_NS + HOUR_NS)
    played.kill.trip("ann", "drill", 1)
    trader.watch_switch()
    played.kill.path.unlink()
    trader.watch_switch()
    assert played.kill.tripped()
    played.kill.clear("bob", "drill over", 2)
    trader.watch_switch()
    assert not trader.engine.killed
    assert played.journal.read()[-1]["k"] == "clear"
    trader.place(order("a"))
    assert filled(to_the_end(played.open()).fills) == pytest.approx(300.0)


def test_a_switch_that_was_cleared_while_the_trader_was_down_is_clear(life: Callable[..., Life]) -> None:
    played = life(strategies=())
    trader = until(played.open(), START_NS + HOUR_NS)
    played.kill.trip("ann", "drill", 1)
    trader.watch_switch()
    played.kill.clear("bob", "drill over", 2)
    assert not played.open().engine.killed


@pytest.mark.parametrize("policy", ["cancel", "flatten"])
def test_a_restart_can_end_what_was_at_work(policy: str, life: Callable[..., Life]) -> None:
    played = life(strategies=(), orders=(order("a"),))
    trader = until(played.open(), START_NS + HOUR_NS // 2)
    held = filled(trader.fills)
    other = life(strategies=(), orders=(order("a"),), on_restart=policy)
    other.journal, other.venue = played.journal, played.venue
    trader = other.run()
    assert f"on_restart: {policy}" in str(trader.report(trader.name_of(order("a"))).unfilled_reason)
    net = sum(sign(fill.side) * fill.qty for fill in trader.fills)
    assert net == pytest.approx(0.0 if policy == "flatten" else held)
    assert held > 0


def test_a_stop_cancels_on_evidence_and_takes_nothing_more(life: Callable[..., Life]) -> None:
    trader = until(life(strategies=(), orders=(order("a"),)).open(), START_NS + HOUR_NS // 2)
    trader.stop("the trader is stopping")
    assert not trader.engine.working
    assert not trader.venue.open_orders()
    assert "takes no more parents" in str(trader.place(order("b")).unfilled_reason)  # type: ignore[union-attr]


def test_every_fill_is_on_the_ledger_of_who_wanted_it(life: Callable[..., Life]) -> None:
    trader = life(orders=(order("a"),)).run()
    mine = [fill for fill in trader.fills if fill.meta["execution_id"] == trader.name_of(order("a"))]
    assert trader.ledger.positions()["orders"] == pytest.approx(filled(mine)) == pytest.approx(300.0)
    theirs: list[FillEvent] = [fill for fill in trader.fills if fill not in mine]
    assert trader.ledger.positions()[STRATEGY] == pytest.approx(sum(sign(fill.side) * fill.qty for fill in theirs))
