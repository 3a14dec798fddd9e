"""What a user may write into `ExecutionAlgorithm.params`, typed and checked, for each algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from core import checks, codec
from core.errors import nearest
from execution.plan import MAX_SLICES, Policy

P = TypeVar("P", bound="Common")


@dataclass(frozen=True, slots=True, kw_only=True)
class Common(Policy):
    """What every algorithm understands, besides the choices of `Policy`.

    limit_price   worst price that any child may trade at, quote currency; None: no limit
    start_ts_ns   when the schedule begins; None: at once
    """

    limit_price: float | None = None
    start_ts_ns: int | None = None

    def __post_init__(self) -> None:
        Policy.__post_init__(self)
        if self.limit_price is not None:
            checks.positive("limit_price", self.limit_price)
        if self.start_ts_ns is not None:
            checks.not_negative("start_ts_ns", self.start_ts_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwapParams(Common):
    """slice_count        number of slices; fewer are made where lots or venue minima allow no more
    interval_seconds   time between slices, instead of a count
    order_type         `limit`: children rest at the mid; `market`: they take
    """

    slice_count: int = 10
    interval_seconds: float | None = None
    order_type: Literal["limit", "market"] = "limit"

    def __post_init__(self) -> None:
        Common.__post_init__(self)
        checks.between("slice_count", self.slice_count, 1, MAX_SLICES)
        checks.one_of("order_type", self.order_type, ("limit", "market"))
        if self.interval_seconds is not None:
            checks.positive("interval_seconds", self.interval_seconds)


def read(kind: type[P], algo_type: str, defaults: Mapping[str, Any], params: Mapping[str, Any]) -> P:
    """The parameters of one parent: the executor's defaults, overridden by the parent's own.

    Raises ValueError naming the parameter, and the valid names where it is unknown.
    """
    known = [f.name for f in fields(kind)]
    for name in params:
        if name not in known:
            raise ValueError(f"{algo_type} has no parameter {name!r}: {nearest(str(name), known)}")
    try:
        return codec.from_dict(kind, {**defaults, **params})
    except ValueError as error:
        raise ValueError(str(error).replace(kind.__name__, f"{algo_type} parameters", 1)) from error
