"""The schedule in a report is the one that the parent follows."""

from __future__ import annotations

from execution.events import Market, Wake
from tests.naive import START_NS
from tests.parents import parent_of, twap

SECOND = 1_000_000_000


def test_a_report_carries_what_is_due_by_when() -> None:
    parent = twap(100, 100, slices=4)
    steps = [[0.0, 25.0], [25_000.0, 50.0], [50_000.0, 75.0], [75_000.0, 100.0]]
    assert parent.report().notes["schedule"] == steps
    for at_ms, due in steps:
        now_ns = START_NS + round(at_ms * 1e6)
        parent.on(Market(now_ns, 1000, 1001), now_ns)
        parent.on(Wake(), now_ns)
        assert parent.children.reserved == due, "what is sent by then is what the schedule says"


def test_volume_and_displays_plan_no_times() -> None:
    assert "schedule" not in parent_of("POV", 100, 600, target_pov=0.1).report().notes
    assert "schedule" not in parent_of("Iceberg", 100, 600, limit_price=10.0).report().notes
    assert "schedule" not in twap(100, 100, slices=1).report().notes
