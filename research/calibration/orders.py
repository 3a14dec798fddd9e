"""Past orders as observations of what size costs: columns without units, one row an order."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError

BPS: Final = 1e4
FEWEST: Final = 10
LEAST_RANGE: Final = 1.5  # of sizes, largest over smallest: with less, size is a constant
NOISE_FLOOR: Final = 1e-4  # variance of a cost beside the market's drift: 1 % of a day's volatility, squared

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """Columns of shape (n,).

    cost        s * (average price - arrival) / (sigma * arrival): in units of a day's volatility
    size        quantity / daily volume
    days        market volume while it traded / daily volume: its duration in volume-days
    spread      half spread that its taking part crossed / (sigma * arrival)
    volatility  sigma: of returns per square root of a day, measured before the order
    cluster     orders that share a number share a market, and are drawn together; ascending with time
    turnover    what is outstanding / daily volume, for the permanent part of Almgren et al. (2005)
    """

    cost: Floats
    size: Floats
    days: Floats
    spread: Floats
    volatility: Floats
    cluster: Ints
    turnover: Floats

    def __len__(self) -> int:
        return len(self.cost)

    def __getitem__(self, part: Any) -> Self:
        """Fewer of them: a mask, a slice or numbers of rows."""
        return type(self)(*(getattr(self, field.name)[part] for field in fields(self)))

    @property
    def noise(self) -> Floats:
        """Variance of the cost that size does not explain, up to one factor: days / 3 for a steady order in a random
        walk, and a floor so that an order of no duration does not count for ever."""
        return self.days / 3 + NOISE_FLOOR

    @property
    def cost_bps(self) -> Floats:
        return BPS * self.volatility * self.cost

    @property
    def spread_bps(self) -> Floats:
        return BPS * self.volatility * self.spread

    @property
    def clusters(self) -> Ints:
        """The different clusters, ascending."""
        return np.unique(self.cluster)

    def check(self) -> None:
        """Raises DataError, one line, where these orders cannot tell what size costs."""
        if len(self) < FEWEST:
            raise DataError(f"{len(self)} usable orders are too few to calibrate on: at least {FEWEST} are needed")
        for field in fields(self):
            if not np.isfinite(getattr(self, field.name)).all():
                raise DataError(f"the column {field.name} of the orders must be finite")
        if not (self.size > 0).all() or not (self.volatility > 0).all() or (self.days < 0).any():
            raise DataError("sizes and volatilities of the orders must be above 0, and durations not negative")
        if self.size.max() < LEAST_RANGE * self.size.min():
            raise DataError(
                f"all {len(self)} orders are of one size relative to volume ({self.size.min():.3g} to "
                f"{self.size.max():.3g}): without variation size cannot be told from a constant"
            )
        if np.ptp(self.cost) == 0:
            raise DataError(f"all {len(self)} orders have the same cost: without variation there is nothing to explain")


def orders(columns: dict[str, Any], *, turnover_days: float = 150.0) -> Orders:
    """Orders from a mapping of columns; `spread` and `turnover` may be left out (0, and `turnover_days`)."""
    n = len(columns["cost"])
    given = {"spread": np.zeros(n), "turnover": np.full(n, turnover_days)} | columns
    ready = partial(np.ascontiguousarray, dtype=np.float64)
    kinds: dict[str, Any] = {"cluster": partial(np.ascontiguousarray, dtype=np.int64)}
    return Orders(**{field.name: kinds.get(field.name, ready)(given[field.name]) for field in fields(Orders)})
