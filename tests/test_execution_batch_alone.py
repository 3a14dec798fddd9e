"""Reports of parents that are each alone in the market: the compiled loop against the machine's desk."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from execution.batch_alone import reports_alone
from execution.batch_intake import Handed, hand_over
from execution.batch_machine import reported
from execution.contracts import AlgoType
from execution.venue import Venue
from tests import batches
from tests.test_loop_run import same

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def handed(case: batches.Case) -> list[Handed]:
    """The parents at their start: each may be driven once."""
    parents = []
    for job in case.jobs:
        assert job.executor is not None
        parents.append(hand_over(case.place, job, job.executor))
    return parents


def check_alike(case: batches.Case) -> None:
    got = reports_alone(case.place, handed(case))
    expected = [reported(case.place, one) for one in handed(case)]
    same([report.to_dict() for report in got], [report.to_dict() for report in expected], "reports")


@pytest.mark.parametrize("algo_type", get_args(AlgoType))
@settings(max_examples=12, suppress_health_check=QUIET)
@given(data=st.data())
def test_a_parent_alone_has_the_report_of_its_desk(algo_type: AlgoType, data: st.DataObject) -> None:
    check_alike(data.draw(batches.batches(algo_type)))


@pytest.mark.slow
@pytest.mark.parametrize("algo_type", get_args(AlgoType))
@settings(max_examples=200, suppress_health_check=QUIET, database=None)
@given(data=st.data())
def test_hundreds_of_parents_alone_have_the_reports_of_their_desks(algo_type: AlgoType, data: st.DataObject) -> None:
    check_alike(data.draw(batches.batches(algo_type)))


@given(batches.places())
@settings(max_examples=1)
def test_nobody_has_no_reports(place: Venue) -> None:
    assert reports_alone(place, []) == []
