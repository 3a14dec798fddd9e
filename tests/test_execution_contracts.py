"""Acceptance list 8.1 of the specification: immutable, typed, nanoseconds by name, exact as dictionaries, validated."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import core.contracts
import execution.contracts
from core import codec
from core.contracts import Contract, FillEvent
from execution.contracts import ALGO_TYPES, ExecutionAlgorithm, ExecutionReport, ExecutionSlice, average_price

ALGORITHM = ExecutionAlgorithm("TWAP", "ATOM/USDT", "buy", 12.5, 600, {"slice_count": 5, "order_type": "market"})
SLICE = ExecutionSlice("x-1", "x-1_0", "ATOM/USDT", "sell", 2.5, None, 1_700_000_000_000_000_001, "pending", "x-1-0")
FILL = FillEvent("f1", "x-1-0", "ATOM/USDT", "buy", 2.5, 10.01, 7, 0.02, "maker", {"execution_id": "x-1"})
REPORT = ExecutionReport(
    "x-1", "ATOM/USDT", 10.0, 2.5, 7.5, 10.01, 0.02, 1, 4, "running", 5, None, fills=(FILL,), denials=("x-1-1: no",)
)
ALL: list[Contract] = [ALGORITHM, SLICE, REPORT]


def all_contracts() -> list[type[Contract]]:
    found = [
        thing
        for module in (core.contracts, execution.contracts)
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Contract) and thing is not Contract
    ]
    assert len(set(found)) >= 12
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("kind", all_contracts())
def test_all_contracts_are_immutable_and_typed(kind: Any) -> None:
    assert dataclasses.is_dataclass(kind)
    assert getattr(kind, "__dataclass_params__").frozen  # noqa: B009
    assert "__slots__" in vars(kind)
    assert set(get_type_hints(kind)) >= {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize("kind", all_contracts())
def test_all_times_are_integers_named_in_nanoseconds(kind: type[Contract]) -> None:
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        words = set(field.name.split("_"))
        if words & {"ts", "time", "timestamp", "at"}:
            assert field.name.endswith("_ns"), field.name
        if field.name.endswith("_ns"):
            assert hints[field.name] in (int, int | None), field.name


def test_the_fields_are_those_of_the_specification_in_its_order() -> None:
    def names(kind: Any) -> str:
        return " ".join([field.name for field in dataclasses.fields(kind)][:12])

    assert names(ExecutionAlgorithm) == "algo_type symbol side total_quantity duration_seconds params"
    assert names(ExecutionSlice) == (
        "execution_id slice_id symbol side quantity limit_price scheduled_ts_ns status client_order_id"
    )
    assert names(ExecutionReport) == (
        "execution_id symbol total_quantity filled_quantity remaining_quantity avg_fill_price total_fees "
        "slices_completed slices_total status start_ts_ns end_ts_ns"
    )
    later = dataclasses.fields(ExecutionReport)[12:]
    assert all(
        field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING for field in later
    )
    assert ALGO_TYPES == ("TWAP", "VWAP", "Iceberg", "POV", "IS")


@pytest.mark.parametrize("contract", ALL)
def test_no_field_can_be_set(contract: Contract) -> None:
    for field in dataclasses.fields(contract):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(contract, field.name, None)


def test_parameters_cannot_be_changed_either_and_are_a_copy() -> None:
    params = {"slice_count": 5}
    algo = ExecutionAlgorithm("TWAP", "A/B", "buy", 1.0, 60, params)
    params["slice_count"] = 7
    assert algo.params["slice_count"] == 5
    with pytest.raises(TypeError, match="frozen contract"):
        algo.params["slice_count"] = 6


@pytest.mark.parametrize("contract", ALL)
def test_to_dict_and_back_is_exact(contract: Contract) -> None:
    kind = type(contract)
    again = kind.from_dict(contract.to_dict())
    assert again == contract
    assert again.to_dict() == contract.to_dict()
    assert kind.from_dict(codec.from_json(codec.to_json(contract.to_dict()))) == contract
    assert codec.to_json(pickle.loads(pickle.dumps(contract))) == codec.to_json(contract)


def test_unknown_prices_are_null_in_json_and_nan_again_afterwards() -> None:
    line = codec.to_json(REPORT)
    assert b'"arrival_price":null' in line
    again = ExecutionReport.from_dict(codec.from_json(line))
    assert math.isnan(again.arrival_price)
    assert again == REPORT


def test_a_report_with_fills_comes_back_with_fills() -> None:
    again = ExecutionReport.from_dict(codec.from_json(codec.to_json(REPORT)))
    assert again.fills == (FILL,)
    assert again.denials == ("x-1-1: no",)


@given(
    quantity=st.floats(1e-12, 1e12),
    seconds=st.integers(1, 86_400),
    params=st.dictionaries(st.text(max_size=5), st.one_of(st.integers(-(2**53), 2**53), st.text(), st.booleans())),
)
def test_any_algorithm_survives_the_round_trip(quantity: float, seconds: int, params: dict[str, Any]) -> None:
    algo = ExecutionAlgorithm("POV", "ATOM/USDT", "sell", quantity, seconds, params)
    assert ExecutionAlgorithm.from_dict(codec.from_json(codec.to_json(algo.to_dict()))) == algo


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"total_quantity": 0.0}, "total_quantity must be a finite number above 0, was 0.0"),
        ({"total_quantity": -1.0}, "total_quantity"),
        ({"total_quantity": math.nan}, "total_quantity must be a finite number above 0, was nan"),
        ({"total_quantity": math.inf}, "total_quantity"),
        ({"duration_seconds": 0}, "duration_seconds must be a finite number above 0, was 0"),
        ({"duration_seconds": -60}, "duration_seconds"),
        ({"duration_seconds": 86_401}, "duration_seconds must be between 1 and 86400, was 86401"),
        ({"algo_type": "twap"}, "algo_type must be one of TWAP, VWAP, Iceberg, POV, IS, was 'twap'"),
        ({"side": "long"}, "side must be one of buy, sell, was 'long'"),
        ({"symbol": ""}, "symbol must be a name"),
    ],
)
def test_an_algorithm_that_makes_no_sense_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(ALGORITHM, **change)


@pytest.mark.parametrize(
    ("contract", "change", "text"),
    [
        (SLICE, {"quantity": 0.0}, "quantity"),
        (SLICE, {"limit_price": -1.0}, "limit_price"),
        (SLICE, {"limit_price": math.nan}, "limit_price"),
        (SLICE, {"status": "done"}, "status must be one of pending, submitted, filled, cancelled, was 'done'"),
        (SLICE, {"side": "BUY"}, "side"),
        (REPORT, {"total_quantity": 0.0}, "total_quantity"),
        (REPORT, {"filled_quantity": -1.0}, "filled_quantity"),
        (REPORT, {"remaining_quantity": math.nan}, "remaining_quantity"),
        (REPORT, {"status": "done"}, "status must be one of running, completed, cancelled, failed"),
        (REPORT, {"side": "x"}, "side"),
    ],
)
def test_slices_and_reports_that_make_no_sense_are_refused(
    contract: ExecutionSlice | ExecutionReport, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(contract, **change)


@pytest.mark.parametrize("contract", ALL)
def test_an_unknown_a_missing_or_a_wrongly_typed_field_is_refused_by_name(contract: Contract) -> None:
    kind, data = type(contract), contract.to_dict()
    with pytest.raises(ValueError, match=f"{kind.__name__} has no field 'colour'"):
        kind.from_dict({**data, "colour": "red"})
    with pytest.raises(ValueError, match="symbol"):
        kind.from_dict({name: value for name, value in data.items() if name != "symbol"})
    with pytest.raises(ValueError, match="symbol"):
        kind.from_dict({**data, "symbol": 5})


def test_a_slice_names_the_order_that_carries_it() -> None:
    assert SLICE.client_order_id == "x-1-0"


def test_done_is_not_filled() -> None:
    assert not REPORT.done  # pitfall 15
    cancelled = dataclasses.replace(REPORT, status="cancelled", end_ts_ns=9)
    assert cancelled.done
    assert cancelled.fill_rate == 0.25


def test_the_average_price_weighs_by_quantity_and_nothing_filled_has_none() -> None:
    more = dataclasses.replace(FILL, fill_id="f2", qty=7.5, price=10.05)
    assert average_price([FILL, more]) == pytest.approx(10.04, rel=1e-15)
    assert average_price([more, FILL]) == average_price([FILL, more])
    assert math.isnan(average_price([]))  # pitfall 30: not zero
