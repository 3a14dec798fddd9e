"""Scores of venues: what they count, how they shrink, and that simulated venues are found again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import chance
from execution.contracts import ExecutionReport
from execution.costs.market_record import MarketRecord
from execution.costs.shrinkage import Noise, moderated, prior_of, shrunk, shrunk_shares
from execution.costs.venue_score import DAY_NS, FLAGS, VenueScore, venue_scores
from execution.tca import measure
from tests.test_execution_tca import START_NS, fill, report


def order(cost_bps: float, venue: str, n: int, *, qty: float = 10.0, done: float = 1.0, **fields: Any) -> Any:
    """An execution that cost so much against an arrival price of 100, fee 1 bp, latency 20 ms; one a day by default."""
    start = fields.pop("start_ts_ns", START_NS + n * DAY_NS)
    price = 100 * (1 + cost_bps / 1e4)
    part = fill(qty * done, price, n=n, fee=qty * done * 0.01, **fields.pop("meta", {})) if done else None
    if part is not None:
        part = replace(part, ts_fill_ns=start + 20_000_000, meta={**part.meta, "submitted_ts_ns": start})
    return report(
        qty,
        [part] if part is not None else [],
        execution_id=f"{venue}-{n}",
        start_ts_ns=start,
        venue=venue,
        **{"decision_price": 100.0, "arrival_price": 100.0, "end_price": 100.0, "total_fees": 0.0} | fields,
    )


def by_name(scores: Sequence[VenueScore]) -> dict[str, VenueScore]:
    return {one.venue: one for one in scores}


def test_one_venue_is_scored_by_what_happened_there() -> None:
    one = order(4.0, "a", 0)
    missed = order(0.0, "a", 1, done=0.0, end_price=100.1, status="cancelled")

    (score,) = venue_scores([one, missed])

    assert score.slippage_bps.raw == pytest.approx(4.0)
    assert score.fee_bps.value == pytest.approx(1.0)
    assert score.opportunity_bps.raw == pytest.approx(5.0)  # 10 bps on half of the paper notional
    assert score.fill_rate.raw == pytest.approx(0.5)
    assert score.score_bps.raw == pytest.approx((4 + 1 + 10) / 2)
    assert (score.executions, score.fills, score.symbol_days) == (2, 1, 2)
    assert {"only_venue", "few_orders"} <= set(score.flags) <= set(FLAGS)


def test_the_score_is_the_shortfall_without_delay() -> None:
    reports = [order(float(n), "a", n, done=0.5 + n / 10, end_price=100 + n / 100, qty=1.0 + n) for n in range(6)]
    costs = [measure(replace(one, total_fees=math.fsum(part.fee for part in one.fills))) for one in reports]

    (score,) = venue_scores(reports)

    wanted = 1e4 * math.fsum(one.shortfall for one in costs) / math.fsum(one.notional for one in costs)
    assert score.score_bps.raw == pytest.approx(wanted)


def test_the_specifications_keys_come_first() -> None:
    (score,) = venue_scores([order(4.0, "a", n) for n in range(12)])

    assert list(score.to_dict())[:3] == ["avg_slippage_bps", "fill_rate", "avg_latency_ms"]
    assert score.to_dict()["avg_slippage_bps"] == pytest.approx(4.0)
    assert score.to_dict()["avg_latency_ms"] == pytest.approx(20.0)
    assert score.to_dict()["fill_rate"] > 0.9
    assert score.fill_rate.raw == 1.0


def test_a_sell_costs_what_a_buy_costs() -> None:
    buys = [order(5.0, "a", n) for n in range(3)]
    sells = [
        replace(one, side="sell", fills=tuple(replace(part, side="sell", price=200 - part.price) for part in one.fills))
        for one in buys
    ]

    assert venue_scores(sells)[0].score_bps.raw == pytest.approx(venue_scores(buys)[0].score_bps.raw)  # pitfall 30


def test_large_orders_weigh_more_than_small_ones() -> None:
    (score,) = venue_scores([order(10.0, "a", 0, qty=90.0), order(20.0, "a", 1, qty=10.0)])

    assert score.slippage_bps.raw == pytest.approx(11.0)


def test_only_what_is_asked_for_counts() -> None:
    reports = [order(1.0, "a", 0), order(2.0, "a", 5), order(50.0, "a", 9, symbol="BTC/USDT")]

    assert venue_scores(reports, "ATOM/USDT")[0].executions == 2
    assert venue_scores(reports, "ATOM/USDT", START_NS + DAY_NS)[0].slippage_bps.raw == pytest.approx(2.0)
    assert venue_scores(reports, "XRP/USDT") == []


def test_no_reports_and_a_venue_by_name_answer_unknown() -> None:
    assert venue_scores([]) == []
    (score,) = venue_scores([], venues=["x"])

    assert score.flags == ("no_orders",)
    assert math.isnan(score.score_bps.value)
    assert math.isnan(score.to_dict()["avg_latency_ms"])


def test_a_venue_without_orders_gets_what_the_others_have_in_common() -> None:
    reports = [order(4.0 + n % 3, "a", n) for n in range(20)] + [order(8.0 + n % 3, "b", n) for n in range(20)]

    scores = by_name(venue_scores(reports, venues=["new"]))

    new = scores["new"]
    assert new.flags == ("no_orders", "latency_fitted")
    assert new.slippage_bps.own == 0
    assert scores["a"].slippage_bps.value < new.slippage_bps.value < scores["b"].slippage_bps.value
    assert new.slippage_bps.low < scores["a"].slippage_bps.value  # as wide as venues differ
    assert new.slippage_bps.high > scores["b"].slippage_bps.value
    assert new.latency_ms == pytest.approx(20.0)


def test_an_execution_over_two_venues_counts_for_slippage_at_each_and_for_the_fill_rate_at_none() -> None:
    split = replace(
        order(2.0, "", 0),
        fills=(fill(5, 100.02, n=1, venue="a"), fill(5, 100.06, n=2, venue="b")),
    )

    scores = by_name(venue_scores([split]))

    assert scores["a"].slippage_bps.raw == pytest.approx(2.0)
    assert scores["b"].slippage_bps.raw == pytest.approx(6.0)
    assert all("several_venues" in one.flags and one.fill_rate.n == 0 for one in scores.values())


def test_old_executions_fade_with_the_half_life() -> None:
    reports = [order(10.0, "a", 0), order(0.0, "a", 10)]

    (even,) = venue_scores(reports)
    (faded,) = venue_scores(reports, half_life_days=5.0)

    assert even.slippage_bps.raw == pytest.approx(5.0)
    assert faded.slippage_bps.raw == pytest.approx(10 * 0.25 / 1.25)


def test_latencies_are_quantiles_where_there_are_enough_and_a_fitted_lognormal_where_not() -> None:
    rng = chance.generator(4, "latency")
    reports = []
    for n, ms in enumerate(rng.lognormal(3, 0.5, 600)):
        one = order(1.0, "a" if n < 560 else "b", n)
        part = replace(one.fills[0], ts_fill_ns=one.start_ts_ns + int(ms * 1e6))
        reports.append(replace(one, fills=(part,)))
    scores = by_name(venue_scores(reports))

    many, few = scores["a"], scores["b"]
    assert "latency_fitted" not in many.flags
    assert "latency_fitted" in few.flags
    assert few.latencies == 40
    for score, within in ((many, 0.1), (few, 0.25)):
        assert score.quantiles_ms["p50"] == pytest.approx(math.exp(3), rel=within)
        assert score.quantiles_ms["p95"] == pytest.approx(math.exp(3 + 1.645 * 0.5), rel=within)
        assert score.quantiles_ms["p99"] == pytest.approx(math.exp(3 + 2.326 * 0.5), rel=within)


def test_a_resting_order_has_no_latency() -> None:
    one = order(1.0, "a", 0)
    resting = replace(one, fills=tuple(replace(part, liquidity="maker") for part in one.fills))

    (score,) = venue_scores([resting])

    assert "no_latencies" in score.flags
    assert math.isnan(score.latency_ms)
    assert all(map(math.isnan, score.quantiles_ms.values()))
    assert score.maker_share.raw == 1.0


def test_markouts_come_from_the_market_where_there_is_one() -> None:
    import polars as pl

    one = order(2.0, "a", 0)
    times = [one.start_ts_ns + second * 1_000_000_000 for second in range(-2, 400)]
    quotes = pl.DataFrame(
        {
            "ts_ns": times,
            "bid": [99.99 - (0.05 if ts > one.start_ts_ns + 5_000_000_000 else 0) for ts in times],
            "ask": [100.01 - (0.05 if ts > one.start_ts_ns + 5_000_000_000 else 0) for ts in times],
        }
    )
    market = MarketRecord.of("ATOM/USDT", quotes=quotes)

    (score,) = venue_scores([one], markets={"ATOM/USDT": market})

    assert score.markouts_bps["10s"].raw == pytest.approx(1e4 * (100.02 - 99.95) / 100.02)
    assert venue_scores([one])[0].markouts_bps == {}


def test_one_day_alone_is_said_to_show_little() -> None:
    reports = [order(float(n), "a" if n % 2 else "b", n, start_ts_ns=START_NS + n) for n in range(8)]

    for score in venue_scores(reports):
        assert {"one_day", "few_days"} <= set(score.flags)
        assert math.isfinite(score.slippage_bps.low)


def test_two_single_orders_cannot_tell_noise_from_difference() -> None:
    a, b = venue_scores([order(2.0, "a", 0), order(6.0, "b", 0)])

    assert a.slippage_bps.value == b.slippage_bps.value == pytest.approx(4.0)
    assert math.isnan(a.slippage_bps.low)


values = st.floats(-50, 50)


@st.composite
def several(draw: st.DrawFn) -> list[ExecutionReport]:
    out = []
    for venue in draw(st.sampled_from(["ab", "abc"])):
        for n in range(draw(st.integers(1, 6))):
            done = draw(st.sampled_from([0.0, 0.5, 1.0]))
            out.append(order(draw(values), venue, n, qty=draw(st.floats(0.1, 100)), done=done, end_price=100.2))
    return out


@settings(max_examples=60)
@given(several(), st.randoms(use_true_random=False))
def test_an_estimate_lies_between_its_own_mean_and_the_others_whatever_the_order_of_the_reports(
    reports: list[ExecutionReport], shuffler: Any
) -> None:
    scores = venue_scores(reports, venues=["none"])
    prior = by_name(scores)["none"]
    shuffled = list(reports)
    shuffler.shuffle(shuffled)

    assert repr(venue_scores(shuffled, venues=["none"])) == repr(scores)
    for score in scores:
        for name in ("slippage_bps", "fee_bps", "opportunity_bps", "score_bps", "fill_rate"):
            one, common = getattr(score, name), getattr(prior, name).value
            if score.executions and one.n:
                low, high = sorted((one.raw, common))
                slack = 1e-9 + 1e-6 * max(abs(low), abs(high), 0.5 / len(reports) * (name == "fill_rate") * 1e6)
                assert low - slack <= one.value <= high + slack, name
                assert 0 <= one.own <= 1


@given(st.floats(-20, 20), st.floats(0.1, 30), st.floats(0.1, 10), st.integers(1, 50), st.integers(1, 50))
def test_more_orders_mean_less_shrinkage_and_a_narrower_interval(
    mean: float, sd: float, between: float, few: int, more: int
) -> None:
    prior = prior_of([-between, between, 0.0], [0.01, 0.01, 0.01])
    one, other = (shrunk(Noise(mean, sd**2, float(few + n)), prior, n=few + n) for n in (0, more))

    assert other.own >= one.own
    assert abs(other.value - other.raw) <= abs(one.value - one.raw) + 1e-12
    assert other.high - other.low <= one.high - one.low + 1e-12


def test_alike_venues_share_one_mean_and_different_ones_keep_theirs() -> None:
    alike = prior_of([5.0, 5.1, 4.9], [1.0, 1.0, 1.0])
    apart = prior_of([0.0, 50.0, 100.0], [1.0, 1.0, 1.0])

    assert alike.sd == 0
    assert apart.sd == pytest.approx(50, rel=0.01)
    assert shrunk(Noise(0.0, 1.0, 1.0), apart).value == pytest.approx(0.0, abs=0.05)


def test_the_prior_is_dersimonian_and_lairds() -> None:
    """Worked by hand: weights 1 and 1/4, centre 2, Q = 4 + 16 = 20, C = 1.25 - 1.0625 / 1.25 = 0.4."""
    found = prior_of([0.0, 10.0], [1.0, 2.0])

    assert found.sd**2 == pytest.approx((20 - 1) / 0.4)
    assert found.mean == pytest.approx(10 * (1 / 51.5) / (1 / 48.5 + 1 / 51.5))
    assert found.error**2 == pytest.approx(1 / (1 / 48.5 + 1 / 51.5))


def test_few_clusters_borrow_their_variance_from_all() -> None:
    first, second, third = moderated([Noise(0.0, 1.0, 21.0), Noise(0.0, 4.0, 21.0), Noise(0.0, math.nan, 1.0)])

    assert third.variance == pytest.approx(2.5)
    assert 1.0 < first.variance < 2.5 < second.variance < 4.0


def test_shares_under_a_beta_prior_stay_inside_and_all_filled_is_not_certain() -> None:
    ((value, low, high, own),), mean = shrunk_shares([1.0], [10.0])

    assert 0.8 < low < value < 1
    assert high <= 1
    assert mean < 1
    assert own == pytest.approx(10 / 11)
    assert all(map(math.isnan, shrunk_shares([math.nan], [0.0])[0][0]))


@pytest.mark.slow
def test_simulated_venues_are_found_again_better_than_by_their_own_means_alone() -> None:
    """100 worlds of eight venues with 3 to 60 days each: less error than the raw means, and honest intervals."""
    rng = chance.generator(21, "venues")
    raw, pulled = np.zeros(2), np.zeros(2)
    inside = count = 0
    for _ in range(100):
        truth = rng.normal(5, 3, 8)
        rates = rng.beta(16, 4, 8)
        reports = []
        for v, (mean, rate) in enumerate(zip(truth, rates, strict=True)):
            for day in range(int(rng.integers(3, 61))):
                shock = rng.normal(0, 8)
                for k in range(2):
                    done = float(np.clip(rng.beta(rate * 10, (1 - rate) * 10), 0.01, 1))
                    cost = float(mean + shock + rng.normal(0, 8))
                    reports.append(order(cost, f"v{v}", day, done=done, start_ts_ns=START_NS + day * DAY_NS + k))
        reports = [replace(one, execution_id=str(n)) for n, one in enumerate(reports)]
        for score in venue_scores(reports):
            v = int(score.venue[1:])
            for k, (one, true) in enumerate(((score.slippage_bps, truth[v]), (score.fill_rate, rates[v]))):
                inside += one.low <= true <= one.high
                count += 1
                raw[k] += (one.raw - true) ** 2
                pulled[k] += (one.value - true) ** 2
    assert pulled[0] < 0.75 * raw[0]
    assert pulled[1] < raw[1]
    assert 0.92 <= inside / count <= 0.98
