"""The market beside executions: as-of joins, benchmark prices, gaps, and reports completed from it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bars import Bars
from core.chance import generator
from core.errors import DataError
from execution.costs.completion import completed, conditions_before, read_market
from execution.costs.market_record import MarketRecord
from execution.tca import measure
from research.data_reader import DataReader
from research.sample import write_sample
from tests import golden
from tests.real_data import real
from tests.test_execution_tca import MINUTE_NS, START_NS, fill, report

SECOND_NS = 1_000_000_000
NAN = math.nan


def trades(*rows: tuple[float, float, float]) -> pl.DataFrame:
    """(seconds after the start, price, quantity)."""
    return pl.DataFrame(
        {
            "ts_ns": [START_NS + round(at * SECOND_NS) for at, _, _ in rows],
            "price": [float(price) for _, price, _ in rows],
            "qty": [float(qty) for _, _, qty in rows],
        }
    )


def quotes(*rows: tuple[float, float, float]) -> pl.DataFrame:
    """(seconds after the start, bid, ask)."""
    return pl.DataFrame(
        {
            "ts_ns": [START_NS + round(at * SECOND_NS) for at, _, _ in rows],
            "bid": [float(bid) for _, bid, _ in rows],
            "ask": [float(ask) for _, _, ask in rows],
        }
    )


def minutes(closes: list[float], volumes: list[float], *, skip: int | None = None) -> Bars:
    """One-minute bars from the start on; a day is missing before bar `skip`."""
    n = len(closes)
    opens = START_NS + np.arange(n, dtype=np.int64) * MINUTE_NS
    if skip is not None:
        opens[skip:] += 1440 * MINUTE_NS
    close = np.array(closes, float)
    first = np.concatenate((close[:1], close[:-1]))
    high, low = np.maximum(first, close), np.minimum(first, close)
    return Bars("X/USD", opens, opens + MINUTE_NS, first, high, low, close, np.array(volumes, float))


def at(second: float) -> int:
    return START_NS + round(second * SECOND_NS)


def tape() -> MarketRecord:
    """The six trades of G7, and one behind them that ends the record."""
    rows = golden.rows("tca_tape.csv")
    six = [(float(row["second"]), float(row["price"]), float(row["volume"])) for row in rows]
    return MarketRecord.of("X/USD", trades=trades(*six, (60, 100.3, 50)))


@pytest.mark.parametrize("row", golden.rows("tca_tape_prices.csv"), ids=lambda row: str(row["number"]))
def test_prices_of_the_tape_are_g7(row: dict[str, str]) -> None:
    market = tape()
    own = report(80, [fill(30, 100.1), fill(50, 99.9, n=1)])
    own = replace(own, end_ts_ns=at(59), fills=tuple(replace(one, ts_fill_ns=at(59.999999999)) for one in own.fills))
    done = completed(own, market)
    against = measure(done).against
    found = {
        "vwap_own": market.vwap(at(0), at(60)),
        "vwap": market.vwap(at(0), at(60), less=(80, 7998)),
        "twap": market.twap(at(0), at(60)),
        "pwp": market.pwp(at(0), 80 / 0.2),
        "own": done.avg_fill_price,
        "vwap_own_slippage_bps": against["vwap_own"].bps,
        "vwap_slippage_bps": against["vwap"].bps,
    }

    assert found[row["number"]] == pytest.approx(float(row["value"]), rel=1e-6)


def test_own_volume_in_the_vwap_shrinks_the_slippage_by_our_share() -> None:
    own = report(80, [fill(80, 99.975)])
    own = replace(own, fills=tuple(replace(one, ts_fill_ns=at(59)) for one in own.fills))
    inside = measure(completed(own, tape(), own_in_tape=True))
    beside = measure(completed(own, tape(), own_in_tape=False))

    assert inside.market_volume == pytest.approx(1520)
    assert beside.market_volume == pytest.approx(1600)
    for cost, share in ((inside, 80 / 1600), (beside, 80 / 1680)):
        assert cost.against["vwap_own"].cost == pytest.approx((1 - share) * cost.against["vwap"].cost)


def test_simulated_fills_are_not_on_the_tape_and_foreign_ones_are() -> None:
    own = replace(report(80, [fill(80, 99.975)]), fills=(replace(fill(80, 99.975), ts_fill_ns=at(59)),))

    assert completed(own, tape()).market_volume == pytest.approx(1520)
    simulated = replace(own, settings={"fill_model": "bars"})
    assert completed(simulated, tape()).market_volume == pytest.approx(1600)


def test_whoever_was_the_whole_market_has_no_vwap_of_others_and_no_cost_against_himself() -> None:
    own = replace(report(1600, []), filled_quantity=1600.0, avg_fill_price=100.01875, end_ts_ns=at(59))
    cost = measure(completed(own, tape()))

    assert math.isnan(cost.against["vwap"].bps)
    assert cost.against["vwap_own"].bps == pytest.approx(0, abs=1e-9)
    assert {"no_vwap", "no_market_volume"} <= set(cost.flags)


def test_a_limit_order_is_held_against_what_traded_at_its_limit_or_better() -> None:
    market = tape()

    assert market.vwap_within(at(0), at(60), "buy", 100.0) == pytest.approx((100 * 600 + 99.9 * 500) / 1100)
    assert market.vwap_within(at(0), at(60), "sell", 100.2) == pytest.approx((100.2 + 100.3) / 2)
    assert math.isnan(market.vwap_within(at(0), at(60), "buy", 99.0))


def test_the_mid_at_a_time_is_the_last_one_known_and_a_fill_met_the_one_before_it() -> None:
    market = MarketRecord.of("X/USD", quotes=quotes((0, 99, 101), (10, 100, 102), (20, 101, 103)))

    assert market.mid_at([at(-1), at(0), at(9.9), at(10), at(21)]).tolist() == pytest.approx(
        [NAN, 100, 100, 101, NAN], nan_ok=True
    )
    assert market.mid_before([at(0), at(10)]).tolist() == pytest.approx([NAN, 100], nan_ok=True)
    assert market.half_spread_before([at(5)]).tolist() == [1]


def test_a_bar_is_known_from_its_close_and_not_before() -> None:
    market = MarketRecord.of("X/USD", bars=minutes([10, 11, 12], [5, 5, 5]))

    assert math.isnan(market.mid_at(at(59)))
    assert market.mid_at(at(60)) == 10
    assert market.mid_at(at(119)) == 10
    assert market.mid_before(at(60)) == 10  # a fill at the open of the second bar


def test_horizons_shorter_than_a_bar_are_unknown_and_longer_ones_are_not() -> None:
    market = MarketRecord.of("X/USD", bars=minutes([10, 11, 12], [5, 5, 5]))

    assert math.isnan(market.later_mid(at(60), 10 * SECOND_NS))
    assert market.later_mid(at(60), 60 * SECOND_NS) == 11
    assert math.isnan(market.later_mid(at(60), 300 * SECOND_NS))  # beyond the data


def test_snapshots_at_a_fixed_pace_are_as_coarse_as_their_pace_and_events_are_not() -> None:
    paced = MarketRecord.of("X/USD", quotes=quotes(*((60 * k, 99 + k, 101 + k) for k in range(10))))
    events = MarketRecord.of("X/USD", quotes=quotes((0, 99, 101), (7, 100, 102), (61, 99, 101), (300, 99, 101)))

    assert paced.resolution_ns == 60 * SECOND_NS
    assert math.isnan(paced.later_mid(at(60), SECOND_NS))
    assert events.resolution_ns == 0
    assert events.later_mid(at(6.5), SECOND_NS) == 101


def test_a_horizon_that_crosses_a_gap_is_dropped() -> None:
    market = MarketRecord.of("X/USD", bars=minutes([10, 11, 50, 51], [5] * 4, skip=2))

    assert math.isnan(market.later_mid(at(60), 2 * 86_400 * SECOND_NS))
    assert math.isnan(market.later_mid(at(120), 60 * SECOND_NS))
    assert market.later_mid(at(60), 60 * SECOND_NS) == 11
    assert market.stale(at(3600))
    assert not market.stale(at(120))


def test_time_in_a_gap_does_not_count_in_the_twap() -> None:
    market = MarketRecord.of("X/USD", bars=minutes([10, 20, 50, 60], [5] * 4, skip=2))
    evening, morning = at(60), at(86_400 + 240)

    assert market.twap(evening, morning) == pytest.approx((10 * 60 + 50 * 60) / 120)


def test_silence_of_events_is_a_gap_and_a_told_one_too() -> None:
    silent = MarketRecord.of("X/USD", trades=trades((0, 10, 1), (10, 11, 1), (7200, 12, 1), (7210, 13, 1)))
    told = MarketRecord.of("X/USD", quotes=quotes((0, 9, 11), (60, 9, 11), (120, 9, 11)), gaps=[(at(20), at(40))])

    assert bool(silent.crosses(at(5), at(7205)))
    assert not bool(silent.crosses(at(0), at(10)))
    assert bool(told.crosses(at(10), at(30)))


def test_bars_that_an_interval_cuts_are_shared_out_by_time_and_flagged() -> None:
    market = MarketRecord.of("X/USD", bars=minutes([10, 10, 20], [60, 60, 120]))

    volume, money = market.traded(at(30), at(150))
    typical = (20 + 10 + 20) / 3
    assert volume == pytest.approx(30 + 60 + 60)
    assert money == pytest.approx(300 + 600 + 60 * typical)
    assert market.prorated(at(30), at(120))
    assert not market.prorated(at(0), at(120))


def test_pwp_prorates_the_last_trade_and_is_unknown_where_the_record_ends_before() -> None:
    market = tape()

    assert market.pwp(at(0), 100) == pytest.approx(100)
    assert market.pwp(at(5), 300) == pytest.approx(100.1)
    assert math.isnan(market.pwp(at(0), 10_000))
    assert math.isnan(market.pwp(at(0), 0.0))


def test_open_close_and_previous_close_are_of_the_utc_day() -> None:
    day = 86_400
    midnight = -(START_NS // SECOND_NS) % day  # seconds from the start to the next midnight
    rows = [(0.0, 10.0, 1.0), (60.0, 11.0, 1.0)]
    rows += [(midnight + 3600.0 * hour, 20.0 + hour, 1.0) for hour in range(1, 24)]
    rows += [(midnight + day + 60.0, 50.0, 1.0), (midnight + day + 120.0, 51.0, 1.0)]
    market = MarketRecord.of("X/USD", trades=trades(*rows))
    noon = at(midnight + day / 2)

    assert market.day_open(noon) == 21
    assert market.day_close(noon) == 43
    assert market.previous_close(noon) == 11
    assert math.isnan(market.day_close(at(midnight + day + 90)))  # the day is not over in this record
    assert math.isnan(market.previous_close(at(0)))


def test_rows_that_are_no_quotes_or_trades_are_left_out_and_counted() -> None:
    market = MarketRecord.of(
        "X/USD",
        quotes=quotes((0, 99, 101), (1, NAN, 101), (2, 102, 101), (3, 0, 1), (4, 100, 102)),
        trades=trades((0, 100, 1), (1, NAN, 1), (2, 100, 0), (3, -5, 1), (4, 100, 3)),
    )

    assert market.left_out == 6
    assert market.mid.tolist() == [100, 101]
    assert market.traded(at(0), at(4) + 1) == (4, 400)


def test_a_market_without_a_row_is_refused_and_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="X/USD has no quotes, trades or bars"):
        MarketRecord.of("X/USD", trades=trades())
    with pytest.raises(DataError, match="'ask'"):
        MarketRecord.of("X/USD", quotes=quotes((0, 1, 2)).drop("ask"))


def test_a_report_is_completed_with_what_it_lacks_and_keeps_what_it_knows() -> None:
    market = MarketRecord.of(
        "X/USD",
        quotes=quotes((0, 99, 101), (60, 100, 102), (119, 100.5, 102.5), (600, 104, 106), (700, 1, 2)),
        trades=trades((30, 100, 10), (90, 101, 30), (700, 105, 1)),
    )
    bare = report(10, [fill(5, 101.5), fill(3, 102.5, n=1)], decision_price=98.0)
    done = completed(bare, market)

    assert (done.decision_price, done.arrival_price, done.end_price) == (98.0, 100.0, 105.0)
    assert done.benchmark_vwap_own == pytest.approx(4030 / 40)
    assert done.benchmark_vwap == pytest.approx((4030 - 815) / 32)
    assert done.market_volume == pytest.approx(32)
    assert done.benchmark_twap == pytest.approx((100 * 60 + 101 * 59 + 101.5 * 1) / 120)
    assert [one.meta["mid"] for one in done.fills] == [100, 101.5]
    assert [one.meta["half_spread"] for one in done.fills] == pytest.approx([1.5, 1.0])
    notes = done.notes["benchmarks"]
    assert notes["source"] == "mids: quotes; volume: trades"
    assert notes["own_volume"] == "in the tape"
    assert "decision_price" not in notes["filled_in"]
    assert completed(done, market) == done


def test_a_decision_time_gives_the_decision_price_and_without_one_arrival_stands_for_it() -> None:
    market = MarketRecord.of("X/USD", quotes=quotes((-60, 97, 99), (0, 99, 101), (700, 104, 106)))
    bare = report(10, [fill(10, 101.0)])

    told = completed(bare, market, decision_ts_ns=at(-30))
    noted = completed(replace(bare, notes={"decision_ts_ns": at(-30)}), market)
    assert (told.decision_price, noted.decision_price) == (98, 98)
    assumed = completed(bare, market)
    assert assumed.decision_price == 100
    assert assumed.notes["benchmarks"]["decision"] == "assumed at arrival"


def test_an_execution_across_a_gap_is_measured_and_says_so() -> None:
    market = MarketRecord.of("X/USD", bars=minutes([10, 11, 50, 51], [5] * 4, skip=2))
    morning = at(86_400 + 180)
    fills = (replace(fill(2, 11.5), ts_fill_ns=at(90)), replace(fill(2, 51, n=1), ts_fill_ns=morning + 1))
    bare = replace(report(4, fills), start_ts_ns=at(60), end_ts_ns=morning + SECOND_NS)
    done = completed(replace(bare, fills=fills), market)

    assert done.notes["benchmarks"]["across_gap"] is True
    assert done.arrival_price == 10
    assert "mid" in done.fills[0].meta


def test_a_fill_that_met_only_a_mid_from_before_a_gap_does_not_say_its_spread() -> None:
    market = MarketRecord.of("X/USD", bars=minutes([10, 11, 50, 51], [5] * 4, skip=2))
    bare = replace(report(2, [fill(2, 49.0)]), fills=(replace(fill(2, 49.0), ts_fill_ns=at(86_400 + 120)),))

    assert "half_spread" not in completed(bare, market).fills[0].meta


def test_an_execution_that_the_market_does_not_cover_stays_unknown() -> None:
    market = MarketRecord.of("X/USD", quotes=quotes((5000, 99, 101), (5001, 99, 101)))
    bare = report(10, [fill(10, 101.0)])

    assert completed(bare, market) == bare
    assert {"no_decision_price", "no_arrival_price", "no_vwap", "no_market_volume"} <= set(measure(bare).flags)


def test_no_fills_are_completed_to_the_end_of_the_execution() -> None:
    market = MarketRecord.of("X/USD", quotes=quotes((0, 99, 101), (300, 109, 111), (700, 1, 2)))
    done = completed(report(10, status="cancelled"), market)

    assert done.end_price == 110
    assert done.benchmark_twap == pytest.approx(105)
    assert measure(done).parts.opportunity == pytest.approx(100)


def test_conditions_before_a_time_are_those_of_the_day_before_and_unknown_without_one() -> None:
    closes = 100 * np.exp(np.cumsum(generator(1, "closes").normal(0, 0.001, 1440)))
    market = MarketRecord.of("X/USD", bars=minutes(closes.tolist(), [2.0] * 1440))

    volatility, volume = conditions_before(market, at(86_400))
    assert volatility == pytest.approx(0.001 * math.sqrt(1440), rel=0.06)
    assert volume == pytest.approx(2880, rel=0.01)
    assert all(map(math.isnan, conditions_before(market, at(600))))


events = st.lists(st.tuples(st.integers(0, 5000), st.integers(90, 110), st.integers(1, 50)), min_size=2, max_size=30)


@given(events, st.integers(0, 5000), st.integers(0, 5000))
def test_interval_prices_agree_with_the_slow_and_obvious_sums(
    rows: list[tuple[int, int, int]], one: int, other: int
) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    market = MarketRecord.of("X/USD", trades=trades(*rows), silence_ns=10**15)
    start, end = sorted((one, other))
    inside = [row for row in rows if start <= row[0] < end]
    if rows[0][0] <= start + 1800 and rows[-1][0] >= end:
        volume, money = market.traded(at(start), at(end))
        assert volume == pytest.approx(sum(qty for *_, qty in inside))
        assert money == pytest.approx(sum(price * qty for _, price, qty in inside))
    if rows[0][0] <= start < end <= rows[-1][0]:
        steps = [next(price for t, price, _ in reversed(rows) if t <= second) for second in range(start, end)]
        assert market.twap(at(start), at(end)) == pytest.approx(sum(steps) / len(steps))


def test_the_store_is_read_for_whatever_it_has(sample: DataReader) -> None:
    first = sample.dataset("ATOM/USDT").start_ns
    market = read_market(sample, "ATOM/USDT", first + 3600 * SECOND_NS, first + 7200 * SECOND_NS, venue="elsewhere")

    assert market.source.startswith("mids: quotes; volume: bars")
    assert market.mid_at(first + 3600 * SECOND_NS) > 0
    with pytest.raises(DataError, match="BTC/USDT"):
        read_market(sample, "BTC/USDT", first, first + 1)
    with pytest.raises(DataError, match="for the time"):
        read_market(sample, "ATOM/USDT", 0, 1, after_ns=0)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> DataReader:
    """Three days of the sample market."""
    return sample_store(tmp_path_factory.mktemp("data"))


def sample_store(folder: Path) -> DataReader:
    write_sample(folder, start="2025-01-01", end="2025-01-04")
    return DataReader(folder)


def test_two_nights_of_a_real_share_are_gaps_and_its_prices_are_the_naive_sums() -> None:
    day_ns, open_ms, close_ms = 86_400 * SECOND_NS, 34_200_000, 57_600_000  # New York, 9:30 to 16:00

    def of_day(name: str) -> pl.DataFrame:
        frame = pl.scan_parquet(real(name)).filter(pl.col("symbol") == "IBM", pl.col("suspicious") == 0)
        inside = frame.filter(pl.col("ms_ny").is_between(open_ms, close_ms))
        ts = pl.col("date").dt.epoch("d").cast(pl.Int64) * day_ns + (pl.col("ms_ny") * 1e6).cast(pl.Int64)
        return inside.with_columns(ts_ns=ts).sort("ts_ns", maintain_order=True).collect()

    bid_ask = of_day("us_equity_quotes_20131007_09.parquet").select(
        "ts_ns", bid=pl.col("bid_deci_cents") / 1e4, ask=pl.col("ask_deci_cents") / 1e4
    )
    tape = of_day("us_equity_trades_20131007_09.parquet").select("ts_ns", "price", qty=pl.col("size").cast(pl.Float64))
    market = MarketRecord.of("IBM", quotes=bid_ask, trades=tape)

    assert len(market.gaps) == 2  # two nights between three days
    monday = int(tape["ts_ns"][0]) // day_ns * day_ns
    start, end = monday + 36_000 * SECOND_NS, monday + 39_600 * SECOND_NS
    hour = tape.filter(pl.col("ts_ns").is_between(start, end, closed="left"))
    assert market.vwap(start, end) == pytest.approx(np.average(hour["price"], weights=hour["qty"]))
    seconds = np.arange(start, end, SECOND_NS // 20, dtype=np.int64)
    assert market.twap(start, end) == pytest.approx(float(market.mid_at(seconds).mean()), rel=1e-5)
    evening, morning = monday + 57_595 * SECOND_NS, monday + day_ns + 34_300 * SECOND_NS
    assert math.isnan(market.later_mid(evening, 10 * SECOND_NS))
    assert bool(market.crosses(evening, morning))
    last = float(tape.filter(pl.col("ts_ns") < morning - 200 * SECOND_NS)["price"][-1])
    assert market.previous_close(morning) == market.day_close(evening) == last
    mids = market.mid[(market.mid_ns >= evening - SECOND_NS) & (market.mid_ns <= morning)]
    assert mids.min() <= market.twap(evening, morning) <= mids.max()
