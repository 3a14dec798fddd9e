"""The engine: parents in flight while the strategy goes on, one market for all, an account exact to the fill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest.engine import BacktestResult
from core.bars import Bars
from core.chance import generator
from core.contracts import OHLCVBar, OrderIntent, Side
from core.instrument import Instrument
from execution.config import ExecutionConfig
from execution.slippage import SquareRootSlippageModel
from risk.gate import RiskGate
from risk.kill import KillSwitch
from strategies.base import Account, Strategy
from strategies.trendline_break_v1 import TrendlineBreakParams, TrendlineBreakV1
from tests.backtests import (
    PLAIN,
    SYMBOL,
    NoParams,
    Scripted,
    Wish,
    backtest,
    bars_from,
    check_account,
    filled_in_bar,
    flat,
    twap_config,
)
from tests.naive import MINUTE_NS, START_NS
from tests.risks import loose


def gate(tmp_path: Path, **limits: Any) -> RiskGate:
    """Loose limits but for those given; the kill switch is `kill` in the folder."""
    settings = loose(symbols=(SYMBOL,), limits=limits, parents="required", venue_filters="required")
    return RiskGate(settings, kill=KillSwitch(tmp_path / "kill"), instruments={SYMBOL: PLAIN})


def walk(count: int, seed: int = 1, volume: float = 1000.0) -> Bars:
    """A random walk on ticks of 0.01 around 10, with some bars in which nobody trades."""
    draw = generator(seed, "engine walk")
    closes = 1000 + np.cumsum(draw.integers(-3, 4, count))
    opens = np.concatenate(([1000], closes[:-1]))
    highs = np.maximum(opens, closes) + draw.integers(0, 3, count)
    lows = np.minimum(opens, closes) - draw.integers(0, 3, count)
    volumes = np.where(draw.random(count) < 0.1, 0.0, np.round(volume * draw.random(count)))
    return bars_from(list(zip(opens / 100, highs / 100, lows / 100, closes / 100, volumes, strict=True)))


def done_at(result: BacktestResult) -> list[int]:
    """The bar after whose open each fill came; for takers in a market of one-minute bars."""
    return [(fill.ts_fill_ns - START_NS) // MINUTE_NS for fill in result.fills]


def test_two_slices_by_hand() -> None:
    # Bought: 50 at 10.01 and 50 at 10.21 (open + 0.01), fee 10 bps: 500.50 + 510.50 and 0.5005 + 0.5105.
    prices = [10.0, 10.0, 10.1, 10.2, 10.3, 10.4]
    bars = bars_from([(p, p, p, p, 1000.0) for p in prices])
    result = backtest(
        bars,
        Scripted(Wish(0, "buy", 100, seconds=240)),
        execution=twap_config(slices=2),
        instrument=replace(PLAIN, maker_fee_bps=10.0, taker_fee_bps=10.0),
        half_spread=0.01,
    )
    assert [fill.qty for fill in result.fills] == [50.0, 50.0]
    assert [fill.price for fill in result.fills] == pytest.approx([10.01, 10.21])
    assert result.position.tolist() == [0, 0, 50, 50, 100, 100, 100]
    assert result.cash[-1] == pytest.approx(10_000 - 500.5 - 510.5 - 0.5005 - 0.5105, abs=1e-9)
    assert result.equity.tolist() == pytest.approx(
        [10_000, 10_000, 9_998.9995, 10_003.9995, 10_007.989, 10_017.989, 10_027.989], abs=1e-9
    )
    (report,) = result.reports
    assert (report.status, report.filled_quantity) == ("completed", 100.0)
    assert report.total_fees == pytest.approx(1.011)


def test_children_trade_at_their_own_times_and_not_all_in_the_first_bar() -> None:  # pitfalls 19, 20
    result = backtest(flat(12), Scripted(Wish(0, "buy", 100, seconds=300)), execution=twap_config(slices=5))
    assert done_at(result) == [1, 2, 3, 4, 5]
    for fill in result.fills:
        assert fill.ts_fill_ns >= fill.meta["scheduled_ts_ns"]


def test_no_child_trades_after_the_end_of_its_parent() -> None:  # pitfall 16
    # A tenth of 100 a bar is 10: 5 bars hold 50 of 500, and then it is over although volume comes.
    bars = bars_from([(10, 10, 10, 10, 100.0)] * 7 + [(10, 10, 10, 10, 1e6)] * 10)
    result = backtest(bars, Scripted(Wish(0, "buy", 500, seconds=300)), execution=twap_config(slices=5))
    (report,) = result.reports
    assert (report.status, report.filled_quantity, report.unfilled_reason) == ("cancelled", 50.0, "end of horizon")
    assert max(done_at(result)) == 5
    assert report.end_ts_ns == report.start_ts_ns + 300 * 10**9


def test_parents_share_one_volume_budget() -> None:  # pitfall 22
    bars = flat(30, volume=100.0)
    wishes = (Wish(0, "buy", 40, seconds=900), Wish(0, "sell", 40, seconds=900), Wish(1, "buy", 40, seconds=900))
    result = backtest(bars, Scripted(*wishes), execution=twap_config(slices=2))
    own = filled_in_bar(result, bars)
    assert max(own.values()) == 10.0
    assert sum(own.values()) == 120.0
    assert [report.status for report in result.reports] == ["completed"] * 3


def test_an_order_larger_than_the_market_fills_a_tenth_of_each_bar() -> None:  # pitfall 21
    result = backtest(flat(6, volume=100.0), Scripted(Wish(0, "buy", 1e6, seconds=180)))
    assert [fill.qty for fill in result.fills] == [10.0, 10.0, 10.0]
    assert result.reports[0].filled_quantity == 30.0


def test_a_limit_order_that_the_market_does_not_trade_through_never_fills() -> None:  # pitfall 21
    bars = bars_from([(10.0, 10.0, 10.0, 10.0, 1e6)] + [(10.05, 10.1, 10.0, 10.05, 1e6)] * 10)
    wish = Wish(0, "buy", 10, limit_price=10.0)
    touched = backtest(bars, Scripted(wish), execution=twap_config("limit"))
    assert touched.fills == []
    assert touched.reports[0].unfilled_reason == "end of horizon"
    through = bars_from([(10.0, 10.0, 10.0, 10.0, 1e6)] + [(10.05, 10.1, 9.99, 10.05, 1e6)] * 10)
    filled = backtest(through, Scripted(wish), execution=twap_config("limit"))
    assert filled.reports[0].fill_rate == 1
    assert {fill.liquidity for fill in filled.fills} == {"maker"}


def test_the_strategy_goes_on_while_a_parent_is_in_flight() -> None:
    strategy = Scripted(Wish(0, "buy", 100, seconds=300), Wish(2, "sell", 30, seconds=60, slices=1))
    result = backtest(flat(10), strategy, execution=twap_config(slices=5))
    assert len(strategy.accounts) == 10
    assert [account.position_qty for account in strategy.accounts] == [0, 20, 40, 30, 50, 70, 70, 70, 70, 70]
    sell = next(report for report in result.reports if report.side == "sell")
    buy = next(report for report in result.reports if report.side == "buy")
    assert buy.start_ts_ns < sell.start_ts_ns < (buy.end_ts_ns or 0)


def test_the_account_that_a_strategy_sees_is_the_one_in_the_result() -> None:
    bars = walk(60)
    strategy = Scripted(Wish(3, "buy", 200, seconds=1200), Wish(8, "sell", 90, seconds=600))
    result = backtest(bars, strategy, execution=twap_config("limit"), half_spread=0.005)
    for k, account in enumerate(strategy.accounts):
        assert (account.equity, account.cash, account.position_qty) == pytest.approx(
            (result.equity[k + 1], result.cash[k + 1], result.position[k + 1]), abs=1e-8
        )
    for account in strategy.accounts[30:]:
        assert account.working_qty == 0


def test_what_is_working_is_what_parents_in_flight_have_not_filled() -> None:
    strategy = Scripted(Wish(0, "buy", 100, seconds=300), Wish(1, "sell", 40, seconds=60, slices=1))
    backtest(flat(8), strategy, execution=twap_config(slices=5))
    for account in strategy.accounts[:6]:
        due = 100 * (account.ts_ns > strategy.accounts[0].ts_ns) - 40 * (account.ts_ns > strategy.accounts[1].ts_ns)
        assert account.position_qty + account.working_qty == due
    assert strategy.accounts[-1].working_qty == 0


@given(
    st.integers(0, 10**6),
    st.lists(
        st.builds(
            Wish,
            st.integers(0, 50),
            st.sampled_from(get_args(Side)),
            st.integers(1, 400).map(float),
            seconds=st.integers(30, 1500),
        ),
        max_size=5,
    ),
    st.sampled_from(["limit", "market"]),
    st.sampled_from([0.0, 0.5]),
)
def test_fills_feed_the_account_exactly_and_never_exceed_the_budget(
    seed: int, wishes: list[Wish], order_type: str, impact: float
) -> None:  # pitfalls 16, 22
    bars = walk(60, seed)
    result = backtest(
        bars,
        Scripted(*wishes),
        execution=twap_config(order_type),
        instrument=replace(PLAIN, maker_fee_bps=-1.0, taker_fee_bps=10.0),
        half_spread=0.005,
        slippage=SquareRootSlippageModel(impact) if impact else None,
    )
    check_account(result, bars, 10_000.0)
    for k, own in filled_in_bar(result, bars).items():
        assert own <= 0.1 * bars.volume[k] + 1e-9
    assert len(result.reports) == len(wishes)
    assert sum(len(report.fills) for report in result.reports) == len(result.fills)
    for report in result.reports:
        assert report.filled_quantity + report.remaining_quantity == report.total_quantity
        assert sum(fill.qty for fill in report.fills) == report.filled_quantity
        for fill in report.fills:
            assert report.start_ts_ns <= fill.ts_fill_ns <= (report.end_ts_ns or bars.ts_close_ns[-1])


@given(st.integers(0, 10**6), st.integers(1, 59))
def test_the_future_does_not_change_the_past(seed: int, cut: int) -> None:  # pitfall 24
    bars = walk(60, seed)
    wishes = [Wish(k, "buy" if k % 2 else "sell", 30.0 + k, seconds=240) for k in range(0, 50, 7)]

    def run(some: Bars) -> BacktestResult:
        return backtest(
            some,
            Scripted(*wishes),
            execution=twap_config("limit"),
            half_spread=0.005,
            slippage=SquareRootSlippageModel(0.5),
        )

    whole, part = run(bars), run(bars[:cut])
    seen_until = int(bars.ts_close_ns[cut - 1])
    assert part.equity.tolist() == whole.equity[: cut + 1].tolist()
    assert part.fills == [fill for fill in whole.fills if fill.ts_fill_ns < seen_until] + [
        fill for fill in whole.fills if fill.ts_fill_ns == seen_until and fill.liquidity == "maker"
    ]
    ended = [report for report in part.reports if report.done]
    assert ended == [report for report in whole.reports if report.end_ts_ns is not None and report in ended]
    for report in part.reports:
        if not report.done:
            assert report.status == "running"


def test_a_parent_that_the_data_do_not_see_to_its_end_is_reported_as_running() -> None:
    result = backtest(flat(4), Scripted(Wish(0, "buy", 100, seconds=600)), execution=twap_config(slices=10))
    (report,) = result.reports
    assert (report.status, report.end_ts_ns, report.filled_quantity) == ("running", None, 30.0)


def mirrored(bars: Bars) -> Bars:
    """Every price p as 20 - p."""
    columns = (20 - bars.open, 20 - bars.low, 20 - bars.high, 20 - bars.close)
    return Bars(bars.symbol, bars.ts_open_ns, bars.ts_close_ns, *columns, bars.volume)


@pytest.mark.parametrize("order_type", ["limit", "market"])
def test_a_sell_is_a_buy_in_the_mirror(order_type: str) -> None:  # pitfall 30
    draw = generator(5, "mirror")
    ticks = 40 + np.cumsum(draw.integers(-1, 2, 80))
    opens = np.concatenate(([40], ticks[:-1]))
    high = np.maximum(opens, ticks) + draw.integers(0, 2, 80)
    low = np.minimum(opens, ticks) - draw.integers(0, 2, 80)
    rows = zip(opens / 4, high / 4, low / 4, ticks / 4, np.full(80, 500.0), strict=True)  # exact in binary
    bars, quarter = bars_from(list(rows)), replace(PLAIN, tick="0.25")

    def fills(some: Bars, side: Side) -> list[tuple[int, float, float, str]]:
        wishes = [Wish(k, side, 150.0, seconds=900) for k in (0, 20, 45)]
        made = backtest(
            some, Scripted(*wishes), execution=twap_config(order_type), instrument=quarter, half_spread=0.25
        )
        return [(fill.ts_fill_ns, fill.qty, fill.price, fill.liquidity) for fill in made.fills]

    bought, sold = fills(bars, "buy"), fills(mirrored(bars), "sell")
    assert len(bought) > 5
    assert sold == [(ts_ns, qty, 20 - price, liquidity) for ts_ns, qty, price, liquidity in bought]


# ---------------------------------------------------------------- the gate


def test_a_tight_limit_denies_the_children_and_the_report_says_why(tmp_path: Path) -> None:
    result = backtest(
        flat(20),
        Scripted(Wish(0, "buy", 100)),
        execution=twap_config(slices=5),
        gate=gate(tmp_path, max_order_qty=15.0),
    )
    assert result.fills == []
    (report,) = result.reports
    assert report.status in ("failed", "cancelled")
    assert report.denials
    assert all("R01" in denial for denial in report.denials)
    assert "R01" in (report.unfilled_reason or "")


def test_a_position_limit_lets_through_what_fits(tmp_path: Path) -> None:
    result = backtest(
        flat(20),
        Scripted(Wish(0, "buy", 100)),
        execution=twap_config(slices=5),
        gate=gate(tmp_path, max_position_qty=45.0),
    )
    assert result.position.max() == 40
    assert any("R08" in denial for denial in result.reports[0].denials)


def test_a_tripped_kill_switch_lets_nothing_through(tmp_path: Path) -> None:  # pitfall 29
    (tmp_path / "kill").touch()
    result = backtest(flat(10), Scripted(Wish(0, "buy", 100)), execution=twap_config(), gate=gate(tmp_path))
    assert result.fills == []
    assert "kill switch" in result.reports[0].denials[0]


def test_nothing_is_sent_after_the_kill_switch_has_tripped(tmp_path: Path) -> None:
    def trip(bar: int) -> None:
        if bar == 3:
            (tmp_path / "kill").touch()

    strategy = Scripted(Wish(0, "buy", 100, seconds=600), on_bar=trip)
    result = backtest(flat(20), strategy, execution=twap_config(slices=10), gate=gate(tmp_path))
    # The child of the fourth slice is sent as bar 3 closes, before the strategy has its say.
    assert done_at(result) == [1, 2, 3, 4][: len(result.fills)]
    assert 2 < len(result.fills) < 5
    assert any("kill switch" in denial for denial in result.reports[0].denials)


# ---------------------------------------------------------------- what cannot be worked


def test_a_parent_below_the_minimum_notional_fails_and_says_why() -> None:  # pitfall 26
    result = backtest(flat(5), Scripted(Wish(0, "buy", 1)), instrument=replace(PLAIN, min_notional=50.0))
    (report,) = result.reports
    assert (report.status, result.fills) == ("failed", [])
    assert report.unfilled_reason
    assert "minimum" in report.unfilled_reason or "fewer" in report.unfilled_reason
    assert result.equity.tolist() == [10_000.0] * 6


def test_less_than_a_lot_fails_and_says_why() -> None:  # pitfall 26
    (report,) = backtest(flat(5), Scripted(Wish(0, "sell", 0.5))).reports
    assert (report.status, report.remaining_quantity) == ("failed", 0.5)
    assert report.unfilled_reason == "quantity 0.5 is less than one lot of 1"


def test_a_failed_parent_does_not_stop_the_others() -> None:
    result = backtest(flat(9), Scripted(Wish(0, "sell", 0.5), Wish(0, "buy", 50), Wish(1, "sell", 0.1)))
    assert [report.status for report in result.reports].count("failed") == 2
    assert sum(fill.qty for fill in result.fills) == 50


@pytest.mark.parametrize("capital", [0.0, -1.0, float("nan"), float("inf")])
def test_capital_must_be_money(capital: float) -> None:
    with pytest.raises(ValueError, match="capital must be a finite number above 0"):
        backtest(flat(3), Scripted(), capital=capital)


# ---------------------------------------------------------------- without an execution config, and signals


def test_without_an_execution_config_a_parent_is_one_market_order() -> None:
    result = backtest(flat(9), Scripted(Wish(0, "buy", 50, seconds=300, algo_type="VWAP")), half_spread=0.01)
    (report,) = result.reports
    assert (report.algo_type, report.status, len(report.fills)) == ("MARKET", "completed", 1)
    assert result.fills[0].price == pytest.approx(10.01)
    assert done_at(result) == [1]


class BarByBar(Strategy[NoParams]):
    """A signal strategy in the clothes of one that looks at every bar."""

    strategy_id = TrendlineBreakV1.strategy_id
    params_type = NoParams

    def __init__(self, inside: TrendlineBreakV1) -> None:
        super().__init__(SYMBOL, NoParams())
        self._inside = inside

    def on_bar(self, bar: OHLCVBar, account: Account) -> list[OrderIntent]:
        return list(self._inside.on_bar(bar, account))


@pytest.mark.parametrize("execution", [None, twap_config("limit", slices=10)])
def test_a_strategy_asked_at_every_bar_does_what_its_signals_do(execution: ExecutionConfig | None) -> None:
    bars = walk(3000)
    params = TrendlineBreakParams(window=30, threshold=0.004, cooldown_seconds=600)
    instrument = Instrument(SYMBOL, tick="0.01", lot="0.01", taker_fee_bps=10.0)
    common: dict[str, Any] = {"execution": execution, "instrument": instrument, "half_spread": 0.005}
    fast = backtest(bars, TrendlineBreakV1(SYMBOL, params), **common)
    slow = backtest(bars, BarByBar(TrendlineBreakV1(SYMBOL, params)), **common)
    assert len(fast.reports) > 20
    assert fast.reports == slow.reports
    assert fast.equity.tolist() == slow.equity.tolist()


def test_a_run_can_be_repeated_and_another_seed_names_its_executions_anew() -> None:
    bars, strategy = walk(60), (Wish(0, "buy", 100), Wish(20, "sell", 100))
    first, second, other = (
        backtest(bars, Scripted(*strategy), execution=twap_config(), seed=seed) for seed in (3, 3, 4)
    )
    assert first.reports == second.reports
    assert not {r.execution_id for r in first.reports} & {r.execution_id for r in other.reports}
    assert [r.filled_quantity for r in first.reports] == [r.filled_quantity for r in other.reports]


def test_every_fill_belongs_to_the_execution_that_its_report_names() -> None:  # pitfall 18
    wishes = [Wish(k, side, 40.0) for k in (0, 5, 10) for side in get_args(Side)]
    result = backtest(walk(60), Scripted(*wishes), execution=twap_config("limit"))
    assert len({report.execution_id for report in result.reports}) == 6
    assert len({fill.fill_id for fill in result.fills}) == len(result.fills)
    for report in result.reports:
        assert {fill.meta["execution_id"] for fill in report.fills} <= {report.execution_id}
        assert report.parent_intent_id.startswith("scripted-")


def test_an_empty_script_leaves_the_money_alone() -> None:
    result = backtest(walk(10), Scripted())
    assert (result.reports, result.fills) == ([], [])
    assert result.equity.tolist() == [10_000.0] * 11


def test_progress_is_told() -> None:
    seen: list[int] = []
    backtest(flat(1500), Scripted(), on_progress=seen.append)
    assert seen == [0, 512, 1024]
