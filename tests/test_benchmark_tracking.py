"""What benchmarks/tracking.py prints holds: POV within 5 % where it should, and the arithmetic where it cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from core.instrument import Instrument
from execution.contracts import ExecutionAlgorithm
from execution.pov import POVExecutor
from execution.profile import VolumeHistory
from tests.real_data import real
from tests.scripts import script

tracking = script("benchmarks/tracking.py")

MANY = 1_000_000


@pytest.mark.parametrize(("slices", "error"), [(5, -0.1837), (10, -0.0909), (20, -0.0452), (40, -0.0226)])
def test_without_feed_forward_a_flat_day_misses_by_one_slice(slices: int, error: float) -> None:
    assert tracking.pov_error(slices, "flat", MANY, False, False, 0) == pytest.approx(error, abs=1e-4)  # G26


@pytest.mark.parametrize("shape", tracking.SHAPES)
@pytest.mark.parametrize("slices", [20, 40, 240])
@pytest.mark.parametrize("lots", [200, MANY])
def test_with_feed_forward_and_twenty_slices_pov_is_within_five_percent(shape: str, slices: int, lots: int) -> None:
    for curve in (False, True):
        for draw in range(3):
            assert abs(tracking.pov_error(slices, shape, lots, True, curve, draw)) <= tracking.TOLERANCE


def test_a_day_that_leaves_its_curve_behind_is_followed() -> None:
    """Ten times the usual volume from the middle on: the expectation lags, and must not hold back what is due."""
    usual = np.full(240, 1000.0)
    actual = np.where(np.arange(240) < 120, usual, 10 * usual)
    start_ns = 20_000 * tracking.DAY_NS
    executor = POVExecutor(
        "tester", None, 0.1, 0.0, history=tracking.past(usual, 240, start_ns), instrument=Instrument("X", lot="1"),
    )  # fmt: skip
    algo = ExecutionAlgorithm("POV", "X", "buy", float(actual.sum()), 240 * 60)
    machine = executor.start(algo, start_ns=start_ns, price=100.0, execution_id="x")
    own = tracking.played(machine, actual, start_ns)
    assert own / (own + actual.sum()) == pytest.approx(0.1, rel=0.02)


def test_pov_holds_its_share_on_real_minutes() -> None:
    data = tracking._near(real("binance_usdm_1m_fil_near.parquet"))
    history = VolumeHistory(data.bars)
    settings = {"target_pov": 0.1, "min_volume_threshold": 0.0}
    for stretch in tracking.stretches(data, 12):
        maker = tracking._make(data, "POV", settings, history)
        own = tracking.work(data, stretch, maker, "buy", stretch.volume).filled_quantity
        assert own / (own + stretch.volume) == pytest.approx(0.1, rel=tracking.TOLERANCE)
