"""When a market trades: volume curves from days strictly before the start, and integers that add up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.bars import Bars
from core.instrument import Instrument
from execution.conditions import DAY_NS
from execution.plan import MAX_TAPE_LOTS
from execution.profile import (
    LEAST_COVERAGE,
    SHRINKAGE_DAYS,
    Profile,
    VolumeHistory,
    uniform,
    volume_profile,
    volume_profiles,
)
from tests import batches
from tests.naive import MINUTE_NS, START_NS
from tests.parents import past_bars

HOUR_NS = 60 * MINUTE_NS
MINUTES = np.arange(1440)
MORNING = np.where(MINUTES < 720, 30.0, 10.0)
EVENING = MORNING[::-1]
SUNDAY_NS = START_NS + 4 * DAY_NS  # START_NS is a Wednesday
Volumes = NDArray[np.float64]


def profile(
    volumes: Volumes | Bars | None, *, start_ns: int = START_NS, hours: float = 24, bins: int = 2, lookback: int = 7
) -> Profile:
    bars = volumes if isinstance(volumes, Bars) or volumes is None else past_bars(volumes, start_ns)
    history = None if bars is None else VolumeHistory(bars)
    return volume_profile(history, start_ns, round(hours * HOUR_NS), bins, lookback)


def days(count: int, day: Volumes = MORNING) -> Volumes:
    return np.tile(day, (count, 1))


# ---------------------------------------------------------------- what the curve says


def test_a_market_that_trades_three_times_as_much_in_the_morning_has_weights_of_three_to_one() -> None:
    found = profile(days(14))
    assert found.weights == pytest.approx([0.75, 0.25], abs=1e-12)
    assert found.volume == pytest.approx([21_600, 7_200])
    assert found.source == "7 weekday days"


def test_the_curve_is_of_the_hours_of_the_execution_and_not_of_the_day() -> None:
    found = profile(days(14), start_ns=START_NS + 11 * HOUR_NS, hours=2)  # the bars end at 11:00
    shifted = np.roll(MORNING, -11 * 60)
    assert found.weights == pytest.approx([0.5, 0.5])  # `days` begin at 11:00 here
    rolled = profile(days(14, np.roll(MORNING, 60)), start_ns=START_NS + 11 * HOUR_NS, hours=2)
    assert rolled.weights == pytest.approx([0.25, 0.75])
    assert shifted.sum() == MORNING.sum()


@given(
    st.integers(1, 12),
    st.integers(1, 1440),
    st.sampled_from([1, 7, 60, 719, 1440]),
    st.lists(st.floats(0, 1e9), min_size=5, max_size=30),
    st.integers(0, 1439),
)
def test_weights_are_shares_that_sum_to_one_whatever_has_traded(
    count: int, bins: int, minutes: int, pattern: list[float], offset: int
) -> None:
    volumes = np.resize(np.array(pattern), (count, 1440))
    found = profile(volumes, start_ns=START_NS + offset * MINUTE_NS, hours=minutes / 60, bins=bins)
    assert found.weights.shape == found.volume.shape == (bins,)
    assert found.weights.sum() == pytest.approx(1, abs=1e-9)
    assert (found.weights >= 0).all()
    assert found.source


def test_bins_finer_than_bars_still_sum_to_one() -> None:
    found = profile(days(8), hours=1 / 60, bins=4)
    assert found.weights.sum() == pytest.approx(1)
    assert found.expected(Instrument("X", lot="1"))[-1] == 30


# ---------------------------------------------------------------- nothing from the future


def longer(past: Volumes, future: Volumes) -> Bars:
    """Bars before the start and after it."""
    return past_bars(np.concatenate((past.ravel(), future)), START_NS + len(future) * MINUTE_NS)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=3000), st.integers(1, 1440), st.sampled_from([15, 60, 1440]))
def test_what_trades_at_or_after_the_start_never_matters(future: list[float], bins: int, minutes: int) -> None:
    # pitfall 24
    past = days(9) + np.arange(9 * 1440).reshape(9, 1440) % 7
    known = profile(past, hours=minutes / 60, bins=bins)
    found = profile(longer(past, np.array(future)), hours=minutes / 60, bins=bins)
    assert found.source == known.source
    assert found.weights.tolist() == known.weights.tolist()
    assert found.volume.tolist() == known.volume.tolist()


@pytest.mark.parametrize("seconds", [1, 30, 59])
def test_a_bar_that_is_not_over_at_the_start_does_not_count(seconds: int) -> None:
    # pitfall 24
    start_ns = START_NS + seconds * 1_000_000_000

    quiet, busy = (
        profile(longer(days(9), np.array([last])), start_ns=start_ns, bins=1440, lookback=1) for last in (0.0, 1e6)
    )
    assert quiet.weights.tolist() == busy.weights.tolist()


def test_the_day_before_is_known_to_its_last_bar() -> None:
    spike = days(2)
    spike[-1, -1] = 1e6
    assert profile(spike, bins=1440).weights[-1] > profile(days(2), bins=1440).weights[-1]


# ---------------------------------------------------------------- which days, and how much they are trusted


def weekly(weekday: Volumes, weekend: Volumes, count: int, end_ns: int) -> Volumes:
    """`count` days before a moment at midnight, by their type."""
    first = end_ns // DAY_NS - count
    return np.array([weekend if (day + 3) % 7 >= 5 else weekday for day in range(first, first + count)])


def test_weekdays_learn_from_weekdays_and_weekends_from_weekends() -> None:
    weekday = profile(weekly(MORNING, EVENING, 28, START_NS), lookback=5)
    weekend = profile(weekly(MORNING, EVENING, 28, SUNDAY_NS), start_ns=SUNDAY_NS, lookback=5)
    assert (weekday.source, weekend.source) == ("5 weekday days", "5 weekend days")
    assert weekday.weights[0] > 0.65
    assert weekend.weights[0] == pytest.approx(5 / 15 * 0.25 + 10 / 15 * 0.75)  # shrunk: most of all days are weekdays
    assert weekend.volume == pytest.approx([7_200, 21_600])  # the level is that of weekends alone


def test_few_days_are_shrunk_towards_the_curve_of_all_days() -> None:
    # 1 weekend day among 3: trust 1 / 11, the rest to the median of all three, which are two mornings and one evening
    start_ns = START_NS + 4 * DAY_NS  # a Sunday; before it Thursday, Friday, Saturday
    found = profile(weekly(MORNING, EVENING, 3, start_ns), start_ns=start_ns)
    assert found.weights == pytest.approx([1 / 11 * 0.25 + 10 / 11 * 0.75, 1 / 11 * 0.75 + 10 / 11 * 0.25])
    assert found.source == "partial: 1 weekend days of 7"


def test_ten_days_of_the_type_are_trusted_by_half() -> None:
    start_ns = SUNDAY_NS
    found = profile(weekly(MORNING, EVENING, 46, start_ns), start_ns=start_ns, lookback=10)
    assert found.source == "10 weekend days"
    assert found.weights[0] == pytest.approx((0.25 + 0.75) / 2)  # most of all days were mornings


def test_only_the_last_days_count() -> None:
    old, new = days(10, EVENING), days(7, MORNING)
    found = profile(np.concatenate((old, new)), start_ns=START_NS + 2 * DAY_NS, lookback=3)  # a Friday
    assert found.weights == pytest.approx([0.75, 0.25])


def test_no_day_of_the_same_type_takes_all_days_and_says_so() -> None:
    start_ns = START_NS + 3 * DAY_NS  # a Saturday, with two weekdays behind it
    found = profile(days(2), start_ns=start_ns)
    assert found.weights == pytest.approx([0.75, 0.25])
    assert found.source == "partial: 2 days, none of them a weekend"


@pytest.mark.parametrize("crazy", [1e9, 0.001])
def test_one_crazy_day_hardly_matters(crazy: float) -> None:
    volumes = days(9)
    volumes[-2, 720:] *= crazy
    assert profile(volumes, lookback=5).weights == pytest.approx([0.75, 0.25])
    assert profile(volumes, lookback=5).volume == pytest.approx([21_600, 7_200])


def test_two_crazy_days_of_three_do() -> None:
    volumes = days(3, MORNING)
    volumes[:2] = EVENING
    assert profile(volumes, start_ns=START_NS + 2 * DAY_NS).weights[0] == pytest.approx(0.25)  # a Friday


# ---------------------------------------------------------------- partial and missing history


def test_without_history_the_curve_is_uniform_and_says_why() -> None:
    found = profile(None, bins=4)
    assert found.weights.tolist() == [0.25] * 4
    assert np.isnan(found.volume).all()
    assert found.source == "uniform: no history"
    assert found.expected(Instrument("X")) == ()


@pytest.mark.parametrize("minutes", [0, 1, 100])
def test_history_that_covers_no_day_is_uniform_and_says_why(minutes: int) -> None:
    found = profile(np.ones(minutes), bins=3)
    assert found.weights == pytest.approx([1 / 3] * 3)
    assert found.source == "uniform: no day of history covers this time of day"


def test_a_short_stretch_needs_only_bars_of_that_stretch() -> None:
    found = profile(np.ones(1440), hours=1, bins=3)  # of yesterday alone
    assert found.source == "partial: 1 weekday days of 7"


def cut(bars: Bars, keep: Callable[[NDArray[np.int64]], NDArray[np.bool_]]) -> Bars:
    there = keep(bars.ts_open_ns)
    return replace(
        bars,
        **{
            name: getattr(bars, name)[there]
            for name in ("ts_open_ns", "ts_close_ns", "open", "high", "low", "close", "volume")
        },
    )


def test_a_day_with_a_gap_is_left_out_and_one_with_a_small_gap_is_not() -> None:
    strange = np.concatenate((days(7, MORNING), days(1, EVENING)))
    yesterday = START_NS - DAY_NS

    def without(minutes: int) -> Profile:
        bars = cut(past_bars(strange), lambda opens: (opens < yesterday) | (opens >= yesterday + minutes * MINUTE_NS))
        return profile(bars, lookback=1)

    assert without(288).weights[0] < 0.5  # 80 % are there
    assert without(289).weights == pytest.approx([0.75, 0.25])
    assert without(289).source == "1 weekday days"


def test_a_day_without_volume_is_no_day() -> None:
    volumes = days(4)
    volumes[-1] = 0
    found = profile(volumes, lookback=1)
    assert found.weights == pytest.approx([0.75, 0.25])
    assert (found.volume > 0).all()


@pytest.mark.parametrize(("least", "expected"), [(28_800, 28_800), (28_801, 57_600)])
def test_a_day_that_traded_less_than_the_least_is_no_day(least: float, expected: float) -> None:
    volumes = days(4)  # 28,800 a day
    volumes[-2] *= 2
    found = volume_profile(VolumeHistory(past_bars(volumes, START_NS)), START_NS, DAY_NS, 2, 1, least)
    assert found.volume.sum() == pytest.approx(expected)


def test_a_parent_that_is_amended_at_its_very_end_gets_a_uniform_curve() -> None:
    assert profile(days(14), hours=0).source == "uniform: no time is left"
    (found,) = volume_profiles(VolumeHistory(past_bars(days(3), START_NS)), np.array([START_NS]), 0, 2, 7)
    assert found.weights.tolist() == [[0.5, 0.5]]


def test_a_market_that_never_trades_is_uniform() -> None:
    assert profile(days(5) * 0).source.startswith("uniform")


def test_volume_at_a_different_time_each_day_falls_back_to_the_mean() -> None:
    volumes = np.zeros((4, 1440))
    volumes[[0, 1, 2, 3], [10, 500, 900, 1300]] = 5.0
    found = profile(volumes, start_ns=START_NS + 2 * DAY_NS, bins=1440)
    assert found.weights.sum() == pytest.approx(1)
    assert sorted(found.weights[[10, 500, 900, 1300]]) == pytest.approx([0.25] * 4)


def test_the_mean_weighs_a_bin_by_the_days_that_traded_in_it() -> None:
    volumes = np.zeros((5, 1440))
    volumes[range(5), [10, 10, 500, 500, 900]] = 5.0  # no bin trades on most days
    found = profile(volumes, bins=144).weights[[1, 50, 90]]  # of all days 2 to 2 to 1, of three weekdays one each
    assert found == pytest.approx(3 / 13 / 3 + 10 / 13 * np.array([0.4, 0.4, 0.2]))


def test_bins_that_never_trade_get_nothing() -> None:
    volumes = days(5)
    volumes[:, :60] = 0
    assert profile(volumes, bins=24).weights[0] == 0


def test_an_exchange_session_has_its_own_hours() -> None:
    session = (MINUTES >= 870) & (MINUTES < 1260)  # 14:30 to 21:00
    smile = np.where(session, 1 + 3 * np.abs((MINUTES - 1065) / 195) ** 2, 0.0)
    bars = cut(past_bars(days(9, smile)), lambda opens: np.isin(opens % DAY_NS // MINUTE_NS, MINUTES[session]))
    found = profile(bars, start_ns=START_NS + 870 * MINUTE_NS, hours=6.5, bins=13)
    assert found.source == "7 weekday days"
    assert found.weights[0] > 2 * found.weights[6] < found.weights[-1]
    assert profile(bars).source.startswith("uniform")  # a day is not covered by the session


# ---------------------------------------------------------------- expected volume


def test_expected_volume_is_cumulative_whole_lots() -> None:
    assert profile(days(8)).expected(Instrument("X", lot="0.1")) == (216_000, 288_000)


def test_expected_volume_stays_within_what_rules_can_count() -> None:
    found = profile(days(8) * 1e15).expected(Instrument("X", lot="0.0001"))  # pitfall 38
    assert found[-1] == MAX_TAPE_LOTS
    assert list(found) == sorted(found)


def test_an_unknown_level_expects_nothing() -> None:
    assert uniform(3, "x").expected(Instrument("X")) == ()
    assert Profile(np.array([0.5, 0.5]), np.zeros(2), "x").expected(Instrument("X")) == ()


# ---------------------------------------------------------------- many starts at a time


def obvious(history: VolumeHistory, start_ns: int, duration_ns: int, bins: int, lookback: int, least: float) -> Profile:
    """Day by day, as the module's first lines say it."""
    edges = start_ns + np.arange(bins + 1) * duration_ns // bins
    kind = is_weekend(start_ns)
    every: list[Volumes] = []
    same: list[Volumes] = []
    for back in range(1, 4 * lookback + 8):
        if len(same) < lookback:
            volumes, covered = history.day(edges - back * DAY_NS)
            traded, _ = history.day(edges[[0, -1]] - back * DAY_NS)
            if covered >= LEAST_COVERAGE and traded[0] > 0 and traded[0] >= least:
                every.append(volumes)
                same += [volumes] * (is_weekend(start_ns - back * DAY_NS) == kind)
    if not every:
        return uniform(bins, "no day of history covers this time of day")
    if not same:
        return Profile(typical(every), np.median(every, axis=0), "")
    trust = len(same) / (len(same) + SHRINKAGE_DAYS)
    weights = trust * typical(same) + (1 - trust) * typical(every)
    return Profile(weights / weights.sum(), np.median(same, axis=0), "")


def is_weekend(ts_ns: int) -> bool:
    return (ts_ns // DAY_NS + 3) % 7 >= 5  # 1970-01-01 was a Thursday


def typical(days: list[Volumes]) -> Volumes:
    shares = [day / day.sum() for day in days]
    found: Volumes = np.median(shares, axis=0)
    if found.sum() <= 0:
        found = np.mean(shares, axis=0)
    found /= found.sum()
    return found


def test_thousands_of_starts_have_the_profiles_of_each_to_the_last_bit() -> None:
    # outages in the past, a grid of minutes; midnights and weekends lie between the starts
    history = VolumeHistory(batches.wild_bars(6, 30_000, START_NS))
    starts = START_NS + np.arange(0, 25 * 1440, 17) * MINUTE_NS
    seen = 0
    for rows, weights, volume in volume_profiles(history, starts, 4 * HOUR_NS, 48, 7):
        seen += len(rows)
        for at in range(0, len(rows), 7):
            one = volume_profile(history, int(starts[rows[at]]), 4 * HOUR_NS, 48, 7)
            assert weights[at].tobytes() == one.weights.tobytes()
            assert volume[at].tobytes() == one.volume.tobytes()
    assert seen == len(starts)


@given(st.data())
def test_many_profiles_are_those_of_each_and_those_of_the_obvious_way(data: st.DataObject) -> None:
    # pitfall 1: from any start, in the history, before and after it
    bars = batches.wild_bars(data.draw(st.integers(0, 3)), data.draw(st.integers(1, 12_000)), START_NS)
    quiet = data.draw(st.sampled_from((0.0, 0.9, 0.999)))
    bars = replace(bars, volume=np.where(np.arange(len(bars)) % 1000 < 1000 * quiet, 0.0, bars.volume))
    history = VolumeHistory(bars)
    unit = data.draw(st.sampled_from((1, MINUTE_NS, 5 * MINUTE_NS)))
    offsets = st.lists(st.integers(-DAY_NS // unit, 20 * DAY_NS // unit), min_size=1, max_size=40)
    starts = START_NS + np.array(data.draw(offsets)) * unit
    duration_ns = data.draw(st.sampled_from((1, 60, 3001, 7200, 86_400))) * 10**9
    bins, lookback = data.draw(st.sampled_from((1, 2, 7, 24, 600))), data.draw(st.integers(1, 9))
    least = data.draw(st.sampled_from((0.0, 0.0, 5_000.0)))
    seen = []
    for rows, weights, volume in volume_profiles(history, starts, duration_ns, bins, lookback, least):
        for row, weight, amount in zip(rows.tolist(), weights, volume, strict=True):
            start_ns = int(starts[row])
            one = volume_profile(history, start_ns, duration_ns, bins, lookback, least)
            slow = obvious(history, start_ns, duration_ns, bins, lookback, least)
            for other in (one, slow):
                assert weight.tobytes() == other.weights.tobytes()
                assert amount.tobytes() == other.volume.tobytes()
            seen.append(row)
    assert sorted(seen) == list(range(len(starts)))


def test_without_starts_or_history_many_profiles_are_none_or_uniform() -> None:
    nothing = [found.rows.tolist() for found in volume_profiles(None, np.zeros(0, np.int64), DAY_NS, 3, 7)]
    assert nothing == [[]]
    ((rows, weights, volume),) = volume_profiles(None, np.array([START_NS, 0]), DAY_NS, 4, 7)
    assert rows.tolist() == [0, 1]
    assert weights.tolist() == [[0.25] * 4] * 2
    assert np.isnan(volume).all()
