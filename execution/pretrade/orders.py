"""A forecast as the parent order that does what it says: parameters that the executors take as they are."""

from __future__ import annotations

import shlex
from typing import Any, Final

from core.contracts import Side
from execution.contracts import ExecutionAlgorithm
from execution.params import IS_SLICES, STEEPNESS
from execution.pretrade.forecast import CostForecast, Forecaster

AT_ONCE_S: Final = 0.001  # the half-life of IS where speed costs nothing


def order_of(
    one: CostForecast, forecaster: Forecaster, symbol: str, side: Side, limit: float | None = None
) -> ExecutionAlgorithm:
    """The parent order of a forecast. `limit`: the price that an iceberg rests at; None: it follows the near touch."""
    params = _params(one, forecaster, limit)
    return ExecutionAlgorithm(one.algo, symbol, side, forecaster.quantity, one.duration_s, params)


def _params(one: CostForecast, forecaster: Forecaster, limit: float | None) -> dict[str, Any]:
    if one.algo == "Iceberg":
        return {"price": "peg"} if limit is None else {"price": "fixed", "limit_price": limit}
    params: dict[str, Any] = {"order_type": one.style}
    if one.algo == "IS":
        costs_nothing = forecaster.trader(one.duration_s) is None
        half_life = AT_ONCE_S if costs_nothing else one.duration_s / STEEPNESS[forecaster.urgency]
        params |= {"half_life_seconds": half_life, "slice_count": IS_SLICES}
    elif one.algo == "TWAP":
        params["slice_count"] = IS_SLICES
    elif one.algo == "POV":  # the forecast knows no volume that is too little to follow
        params |= {"target_pov": forecaster.pov_rate, "min_volume_threshold": 0.0}
    return params


def preview_words(order: ExecutionAlgorithm, *more: str) -> str:
    """The command that shows the order's children before it is sent; `more` words at its end."""
    words = ["fillwright", "preview", "--algo", order.algo_type, "--symbol", order.symbol, "--side", order.side]
    words += ["--quantity", _word(order.total_quantity), "--duration", f"{order.duration_seconds}s"]
    for name, value in order.params.items():
        words += ["--param", f"{name}={_word(value)}"]
    return shlex.join([*words, *more])


def _word(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
