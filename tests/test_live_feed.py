"""The live feed: the real ccxt against an exchange on this machine, and the trader on the tape that it recorded."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.contracts import OrderIntent, QuoteEvent, TradeEvent
from core.errors import ConfigError, DataError
from core.instrument import Instrument
from core.journal_read import read
from execution.config import DEFAULT_FILLS
from live.answers import answer
from live.ccxt_feed import Exchange, Poller
from live.live_market import made_session
from live.live_tape import Batch, LiveTape, opening
from live.session import Session, read_files
from live.settings import CcxtFeed, load_live
from live.trader import Trader
from live.wanted import Wanted, read_wanted
from risk.kill import KillSwitch
from tests import exchanges
from tests.lines import Lines
from tests.ticking_exchange import Ticking
from tests.traders import (
    SYMBOL,
    WITHIN_S,
    Life,
    fillwright,
    noted,
    orders_file,
    ready,
    reported,
    settings,
    started,
    to_the_end,
)

pytest.importorskip("ccxt")

MS = 1_000_000
SECOND = 1_000_000_000
INSTRUMENT = Instrument(SYMBOL, venue="binance", tick="0.001", lot="0.01", min_notional=5.0)
START_NS = 1_735_689_600_000_000_000


@pytest.fixture
def venue() -> Iterator[Ticking]:
    server = Ticking()
    with exchanges.serving(server):
        yield server
        server.let_go.set()


@pytest.fixture
def alive() -> Iterator[Ticking]:
    server = Ticking(alive=True)
    with exchanges.serving(server):
        yield server
        server.let_go.set()


def feed_of(venue: Ticking, **more: Any) -> CcxtFeed:
    return CcxtFeed(exchange="binance", symbol=SYMBOL, endpoint=venue.address, poll_seconds=0.02, **more)


# ---- polls


def test_the_instrument_is_what_the_exchange_says(venue: Ticking) -> None:
    exchange = Exchange(feed_of(venue))
    told = exchange.instrument()
    exchange.close()
    assert (told.venue, told.tick, told.lot, told.min_notional, told.taker_fee_bps) == (
        "binance",
        "0.001",
        "0.01",
        5.0,
        10.0,
    )


def test_each_trade_counts_once_late_ones_too_and_those_of_before_do_not(venue: Ticking) -> None:
    now = venue.now_ms()
    venue.trade(1, now - 1000)
    venue.trade(2, now - 900)
    exchange = Exchange(feed_of(venue))
    first = exchange.poll()
    assert first.trades == ()
    assert first.quote is not None
    assert (first.quote.bid, first.quote.ask, first.quote.bid_qty) == (9.99, 10.01, 500.0)
    venue.trade(4, now - 700, qty="7")
    assert [one.trade_id for one in exchange.poll().trades] == ["4"]
    venue.trade(3, now - 800)  # published behind a newer one
    venue.trade(5, now - 600)
    later = exchange.poll()
    assert [one.trade_id for one in later.trades] == ["3", "5"]
    assert exchange.poll() == Batch((), first.quote)
    exchange.close()


def test_many_trades_come_page_by_page_and_a_hole_is_named(venue: Ticking) -> None:
    now = venue.now_ms()
    venue.trade(0, now - 100_000)
    exchange = Exchange(feed_of(venue))
    exchange.poll()
    for number in range(1, 1201):
        venue.trade(number, now - 90_000 + number)
    batch = exchange.poll()
    assert [one.trade_id for one in batch.trades] == [str(number) for number in range(1, 1201)]
    assert not batch.missed
    venue.trades.clear()  # the exchange keeps no more than the newest
    venue.trade(2000, now)
    batch = exchange.poll()
    assert ([one.trade_id for one in batch.trades], batch.missed) == (["2000"], True)
    exchange.close()


def test_crossed_and_one_sided_quotes_are_no_reference(venue: Ticking) -> None:
    # pitfall 10
    exchange = Exchange(feed_of(venue))
    venue.quote = ("10.020", "10.010")
    assert exchange.poll().quote is None
    exchange.close()


@pytest.mark.parametrize("mood", ["busy", "silent", "nonsense"])
def test_a_poll_that_fails_is_made_again_and_nothing_is_lost(mood: str, venue: Ticking) -> None:
    now = venue.now_ms()
    venue.trade(1, now)
    said: list[str] = []
    poller = Poller(lambda: Exchange(feed_of(venue, timeout_seconds=0.3)), 0.02)
    poller.start(lambda: None, said.append)
    try:
        until(lambda: len(poller.batches) > 0)
        venue.moods.extend([mood] * 3)
        until(lambda: poller.fails > 0)
        venue.trade(2, now + 1)
        until(lambda: poller.fails == 0 and not venue.moods)
        until(lambda: any(batch.trades for batch in poller.batches))
    finally:
        poller.stop()
        venue.let_go.set()
    assert [one.trade_id for batch in poller.batches for one in batch.trades] == ["2"]
    assert ["does not answer" in line or "answers again" in line for line in said] == [True] * len(said)


def test_an_unknown_exchange_or_symbol_is_one_line(venue: Ticking) -> None:
    with pytest.raises(ConfigError, match="did you mean binance"):
        Exchange(CcxtFeed(exchange="binanse", symbol=SYMBOL))
    exchange = Exchange(CcxtFeed(exchange="binance", symbol="ATOM/USDX", endpoint=venue.address))
    with pytest.raises(DataError, match="did you mean ATOM/USDT"):
        exchange.instrument()
    exchange.close()


def until(holds: Callable[[], bool], within_s: float = 30.0) -> None:
    for _ in range(int(within_s / 0.01)):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it does not come to pass")


# ---- the tape


def quote(bid: float, ask: float, ts_ns: int = 0, size: float = 500.0) -> QuoteEvent:
    return QuoteEvent(SYMBOL, bid, ask, ts_ns, size, size)


def trade(number: int, price: float, qty: float = 5.0, ts_ns: int = START_NS) -> TradeEvent:
    return TradeEvent(SYMBOL, price, qty, ts_ns, "buy", str(number))


class Live:
    """A trader on a tape that the test makes grow, in the test's own time."""

    def __init__(self, folder: Path, *orders: Wanted, tape: Lines | None = None) -> None:
        self.lines = tape or Lines()
        if tape is None:
            self.lines.append(opening("binance", INSTRUMENT, START_NS))
        self._settings = settings(folder, strategies=(), feed=CcxtFeed(exchange="binance", symbol=SYMBOL))
        self.life = Life(self.session, KillSwitch(folder / "kill"), orders=orders)
        self.trader: Trader | None = None

    def session(self) -> Session:
        self.tape = LiveTape(self.lines.read(), self.lines, DEFAULT_FILLS)
        return made_session(read_files(self._settings), self.tape)

    def begin(self, at_ns: int = START_NS) -> Trader:
        """A process starts at this time."""
        again = self.trader is not None
        self.trader = self.life.open()
        if again:
            self.tape.slept(self.trader.now_ns, at_ns)
        return self.trader

    def comes(self, at_ns: int, *trades: TradeEvent, shows: QuoteEvent | None = None) -> None:
        """A poll has brought this; the trader plays on to then."""
        assert self.trader is not None
        while self.trader.step(at_ns - 1):
            pass
        self.tape.take(Batch(trades, shows), at_ns, self.trader.now_ns)
        while self.trader.step(at_ns):
            pass


def twap(name: str = "a", quantity: float = 60.0, seconds: int = 60, **params: Any) -> Wanted:
    given = {"id": name, "symbol": SYMBOL, "side": "buy", "quantity": quantity, "algo": "TWAP"}
    chosen = {"slice_count": 6, "order_type": "market", **params}
    return Wanted.from_dict({**given, "duration_seconds": seconds, "params": chosen})


def orders_of(lines: Lines) -> list[OrderIntent]:
    return [one for one, _, ok in lines.orders() if ok]


def test_a_tape_that_has_nothing_more_waits_and_is_not_over(tmp_path: Path) -> None:
    live = Live(tmp_path)
    trader = live.begin()
    assert (trader.step(START_NS + SECOND), trader.next_ns, trader.over) == (False, None, False)
    live.comes(START_NS + 2 * SECOND, trade(1, 10.0), shows=quote(9.99, 10.01))
    assert trader.engine.board.feeds[SYMBOL].mid == 10.0
    assert (trader.next_ns, trader.over) == (None, False)


def test_before_the_first_price_an_order_is_refused_and_its_id_stays_free(tmp_path: Path) -> None:
    live = Live(tmp_path)
    trader = live.begin()
    wanted = {"do": "new", "order": {"id": "o-1", "symbol": SYMBOL, "side": "buy", "quantity": 5.0}}
    assert "no price is known yet" in answer(trader, wanted)["error"]
    live.comes(START_NS + SECOND, shows=quote(9.99, 10.01))
    assert answer(trader, wanted)["known"] is False


def test_a_line_is_later_than_everything_that_was_done(tmp_path: Path) -> None:
    live = Live(tmp_path)
    trader = live.begin()
    trader.step(START_NS + 5 * SECOND)
    live.tape.take(Batch((), quote(9.99, 10.01)), START_NS + SECOND, trader.now_ns)  # the clock was set back
    assert live.lines.read()[-1]["t"] == START_NS + 5 * SECOND + 1


def test_an_older_quote_and_prices_off_the_grid_are_left_out(tmp_path: Path) -> None:
    live = Live(tmp_path)
    live.begin()
    at = START_NS + 10 * SECOND
    live.comes(at, shows=quote(9.99, 10.01, at - SECOND))
    live.comes(at + SECOND, shows=quote(9.0, 9.1, at - 2 * SECOND))
    live.comes(at + 2 * SECOND, trade(1, 10.0005))
    assert len(live.lines.read()) == 2
    assert live.tape.refused == 1


def test_strategies_see_whole_minutes_once_they_are_over(tmp_path: Path) -> None:
    live = Live(tmp_path)
    live.begin()
    bars = []
    for number in range(40):
        at = START_NS + number * 5 * SECOND + 1
        live.comes(at, trade(number, 10.0 + number / 1000, ts_ns=at), shows=quote(9.99, 10.05))
        bars.append(live.tape.bar_at(at))
    (first, second, third) = (bar for bar in bars if bar is not None)
    assert (first.ts_open_ns, first.open, first.close, first.volume) == (START_NS, 10.0, 10.011, 60.0)
    assert (second.open, third.open) == (10.012, 10.024)
    assert [bars.index(bar) for bar in (first, second, third)] == [12, 24, 36]


def test_a_reference_that_grows_old_shuts_the_gate(tmp_path: Path) -> None:
    # pitfall 10
    live = Live(tmp_path, twap(seconds=600, stale_seconds=0.0))
    trader = live.begin()
    live.comes(START_NS + SECOND, trade(1, 10.0), shows=quote(9.99, 10.01))
    while trader.step(START_NS + 590 * SECOND):
        pass  # the exchange does not answer any more; time goes on
    asked = live.life.journal.orders()
    assert [ok for _, _, ok in asked][:2] == [True, True]
    assert not any(ok for _, now_ns, ok in asked if now_ns > START_NS + 121 * SECOND)
    assert any("R04" in str(line.get("why")) for line in live.life.journal.read())


def test_what_was_due_while_the_trader_was_not_there_is_done_when_it_is_back(tmp_path: Path) -> None:
    live = Live(tmp_path, twap())
    live.begin()
    live.comes(START_NS + SECOND, trade(1, 10.0), shows=quote(9.99, 10.01))
    live.comes(START_NS + 12 * SECOND, trade(2, 10.0), shows=quote(9.99, 10.01))
    before = len(orders_of(live.life.journal))
    live.begin(START_NS + 45 * SECOND)
    live.comes(START_NS + 46 * SECOND, trade(3, 10.1), shows=quote(10.09, 10.11))
    live.comes(START_NS + 90 * SECOND, trade(4, 10.1), shows=quote(10.09, 10.11))
    later = [(one, now) for one, now, ok in live.life.journal.orders() if ok][before:]
    assert later
    assert min(now for _, now in later) >= START_NS + 45 * SECOND
    assert live.tape.gaps == [(START_NS + 12 * SECOND, START_NS + 45 * SECOND)]
    assert "not there from" in live.trader.session.market.remarks[0]  # type: ignore[union-attr]


@pytest.mark.parametrize("algo", ["TWAP", "Iceberg", "POV"])
def test_played_again_in_one_go_the_recorded_tape_gives_what_the_killed_trader_did(algo: str, tmp_path: Path) -> None:
    # pitfalls 27, 28
    given = {"id": "a", "symbol": SYMBOL, "side": "buy", "quantity": 60.0, "algo": algo, "duration_seconds": 60}
    params = {"TWAP": {"slice_count": 12}, "POV": {"interval_seconds": 5.0, "min_volume_threshold": 0.0}}
    order = Wanted.from_dict({**given, "params": params.get(algo, {})})
    live = Live(tmp_path, order)
    live.begin()
    for number in range(100):
        at = START_NS + number * SECOND + 1
        if number in (13, 14, 31, 60):  # kill -9; down for a while
            live.begin(at - SECOND // 2)
        price = 10.0 + (number * 7 % 11 - 5) / 100
        live.comes(at, trade(number, price, 4.0, at), shows=quote(price - 0.01, price + 0.01))
    assert live.trader is not None
    again = Live(tmp_path, order, tape=live.lines)
    trader = to_the_end(again.begin())
    assert len(trader.fills) > 1
    assert again.life.journal.orders() == live.life.journal.orders()
    assert trader.fills == live.trader.fills
    assert reported(trader) == reported(live.trader)


# ---- the process


def folder_of(folder: Path, alive: Ticking, **more: Any) -> Path:
    """A working directory of a trader that listens to this exchange."""
    import yaml

    from tests.traders import config_folder

    made = config_folder(folder, orders="orders.ndjson", **more)
    file = made / "config" / "live.yaml"
    feed = {"type": "ccxt", "exchange": "binance", "symbol": SYMBOL, "poll_seconds": 0.05, "endpoint": alive.address}
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "feed": feed}))
    params = {"slice_count": 20, "order_type": "market"}
    orders_file(made, {"id": "a", "symbol": SYMBOL, "side": "buy", "quantity": 60.0, "algo": "TWAP",
                       "duration_seconds": 8, "params": params})  # fmt: skip
    return made


def test_a_killed_trader_goes_on_with_the_live_feed_and_its_tape_gives_the_same_children(
    tmp_path: Path, alive: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pitfalls 27, 28: the real process, the real ccxt, kill -9
    folder = folder_of(tmp_path / "work", alive)
    for wait_s in (1.5, 1.0):
        process = started(folder)
        try:
            ready(process, folder)
            noted(process, folder, "order")
            time.sleep(wait_s)
        finally:
            process.kill()
            process.communicate()
        alive.moods.extend(["busy", "nonsense"])
        (folder / "var" / "live" / "trader.sock").unlink(missing_ok=True)
    process = started(folder)
    try:
        ready(process, folder)
        noted(process, folder, "report")
        listed = fillwright(folder, "order", "list", "--json")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=WITHIN_S)
    finally:
        process.kill()
    found = json.loads(out)
    assert (process.returncode, found["ending"], found["epoch"]) == (0, "left", 3), err
    assert "nothing is known of the market" not in out
    assert json.loads(listed.stdout)["parents"][0]["filled"] > 0
    journal, tape = (folder / "var" / "live" / name for name in ("journal", "tape"))
    assert [entry.kind for entry in read(tape)].count("gap") == 2
    for words in (("verify", str(journal)), ("verify", str(tape)), ("replay", str(journal))):
        done = fillwright(folder, *words)
        assert done.returncode == 0, done.stderr
    monkeypatch.chdir(folder)
    shutil.copytree("var/live/tape", "var/other/tape")
    gone = fillwright(folder, "trade", "--folder", "var/other")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "of a trader whose journal is gone" in gone.stderr
    chosen = load_live("config/live.yaml")
    lines = Lines()
    for entry in read(tape):
        lines.append(entry.data)
    session = made_session(read_files(chosen), LiveTape(lines.read(), lines, DEFAULT_FILLS))
    again = Lines()
    trader = Trader(
        session,
        again,
        lambda _line: None,
        kill=KillSwitch("var/kill"),
        orders=read_wanted(Path("orders.ndjson"), SYMBOL),
    )
    trader.open((), ())
    to_the_end(trader)
    recorded = [OrderIntent.from_dict(entry.data["i"]) for entry in read(journal) if entry.kind == "order"]
    assert [one for one, *_ in again.orders()] == recorded
    (report,) = (entry.data["report"] for entry in read(journal) if entry.kind == "report")
    assert reported(trader)[report["execution_id"]] == report


def test_a_feed_that_is_lost_blocks_neither_requests_nor_the_kill_switch(tmp_path: Path, alive: Ticking) -> None:
    folder = folder_of(tmp_path / "work", alive, on_stop="cancel")
    process = started(folder)
    try:
        ready(process, folder)
        noted(process, folder, "order")
        alive.moods.extend(["silent"] * 50)
        listed = fillwright(folder, "order", "list", "--json")
        assert json.loads(listed.stdout)["parents"][0]["status"] in ("working", "paused")
        (folder / "var" / "kill").touch()
        noted(process, folder, "kill")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WITHIN_S)
    finally:
        process.kill()
        process.communicate()
        alive.let_go.set()
    assert process.returncode == 1, "killed"


def test_an_exchange_that_cannot_be_reached_at_the_first_start_is_one_line(tmp_path: Path, venue: Ticking) -> None:
    folder = folder_of(tmp_path / "work", venue)
    file = folder / "config" / "live.yaml"
    file.write_text(file.read_text().replace("ATOM/USDT", "ATOM/USDX"))
    orders_file(folder)
    done: subprocess.CompletedProcess[str] = fillwright(folder, "trade")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "did you mean ATOM/USDT" in done.stderr
    assert not list(read(folder / "var" / "live" / "tape")), "nothing is half written"
