"""What a user may write into `ExecutionAlgorithm.params`, typed and checked, for each algorithm.

The docstrings are the tables of docs/algorithms.md: one line per parameter, its name first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from core import checks, codec
from core.errors import nearest
from execution.plan import MAX_SLICES, Policy

P = TypeVar("P", bound="Common")
OrderStyle = Literal["limit", "market", "limit_then_cross"]
Urgency = Literal["low", "medium", "high"]
STYLE_OF_URGENCY: dict[str, OrderStyle] = {"low": "limit", "medium": "limit_then_cross", "high": "market"}
STEEPNESS: dict[Urgency, float] = {"low": 1.0, "medium": 2.0, "high": 4.0}  # of IS: half-lives in its horizon
IS_SLICES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Common(Policy):
    """limit_price         worst price that any child may trade at, quote currency; None: no limit
    start_ts_ns         when the schedule begins; None: at once
    max_participation   most of a slice's volume, ours included, that the next slice sends; None: no cap
    quantity_currency   `base`, or `quote`: then `total_quantity` is money, turned into base at the price of the start
    """

    limit_price: float | None = None
    start_ts_ns: int | None = None
    max_participation: float | None = None
    quantity_currency: Literal["base", "quote"] = "base"

    def __post_init__(self) -> None:
        Policy.__post_init__(self)
        if self.limit_price is not None:
            checks.positive("limit_price", self.limit_price)
        if self.start_ts_ns is not None:
            checks.not_negative("start_ts_ns", self.start_ts_ns)
        if self.max_participation is not None:
            _rate("max_participation", self.max_participation)
        checks.one_of("quantity_currency", self.quantity_currency, ("base", "quote"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sliced(Common):
    """slice_count         number of slices; fewer are made where lots or venue minima allow no more
    interval_seconds    time between slices, instead of a count
    order_type          `limit`: children rest at the mid; `market`: they take; `limit_then_cross`: they rest at the
                        near touch for a part of the slice and then take
    urgency             `low`, `medium` or `high`, instead of an order type: limit, limit_then_cross, market
    rest_share          limit_then_cross: the part of a slice that rests
    repeg_ticks         how far the touch moves before a resting child follows it
    cross_spreads       a crossing child pays at most so many spreads beyond the far touch; 0: it is a market order
    """

    slice_count: int | None = None
    interval_seconds: float | None = None
    order_type: OrderStyle = "limit"
    urgency: Urgency | None = None
    rest_share: float = 0.65
    repeg_ticks: int = 1
    cross_spreads: int = 2

    def __post_init__(self) -> None:
        Common.__post_init__(self)
        if self.slice_count is not None:
            checks.between("slice_count", self.slice_count, 1, MAX_SLICES)
        if self.interval_seconds is not None:
            checks.positive("interval_seconds", self.interval_seconds)
        checks.one_of("order_type", self.order_type, ("limit", "market", "limit_then_cross"))
        if self.urgency is not None:
            checks.one_of("urgency", self.urgency, STYLE_OF_URGENCY)
        checks.between("rest_share", self.rest_share, 0, 1)
        checks.between("repeg_ticks", self.repeg_ticks, 1, 1_000_000)
        checks.between("cross_spreads", self.cross_spreads, 0, 1000)

    @property
    def style(self) -> OrderStyle:
        return self.order_type if self.urgency is None else STYLE_OF_URGENCY[self.urgency]


@dataclass(frozen=True, slots=True, kw_only=True)
class TwapParams(Sliced):
    """randomize_time      shifts each slice but the first by up to this part of the interval, at most 0.5; seeded
    randomize_size      varies slice sizes by up to this part, below 1; the sum stays exact; seeded
    """

    slice_count: int | None = 10
    randomize_time: float = 0.0
    randomize_size: float = 0.0

    def __post_init__(self) -> None:
        Sliced.__post_init__(self)
        checks.between("randomize_time", self.randomize_time, 0, 0.5)
        checks.between("randomize_size", self.randomize_size, 0, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class VwapParams(Sliced):
    """lookback_days       days of the same type (weekday, weekend) that the volume curve is made from
    min_volume_threshold  base quantity; a past day that traded less over the same hours does not count
    reweight            whether the curve follows the volume that comes in
    max_stray           how far, as a part of the quantity, it may stray from the planned curve
    settle_at           part of the expected volume after which it follows no more
    """

    lookback_days: int = 7
    min_volume_threshold: float = 0.0
    reweight: bool = True
    max_stray: float = 0.1
    settle_at: float = 0.6

    def __post_init__(self) -> None:
        Sliced.__post_init__(self)
        checks.between("lookback_days", self.lookback_days, 1, 366)
        checks.not_negative("min_volume_threshold", self.min_volume_threshold)
        checks.between("max_stray", self.max_stray, 0, 1)
        checks.between("settle_at", self.settle_at, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PovParams(Sliced):
    """target_pov          share of volume that is aimed at (also: participation_rate)
    participation_rate  the same under its other name
    of_total            whether the share is of all volume, ours included; else of others' volume
    own_in_tape         whether the volume that is reported includes our own trades (true of a live tape)
    max_participation   most of a slice's volume while catching up; None: twice the target
    min_volume_threshold  base quantity; a slice with less volume pauses the parent
    feed_forward        whether it aims at what the coming slice will trade too
    lookback_days       days from which that is foreseen, where there is history
    spike               a slice's volume beyond so many ordinary ones counts later; 0: at once
    spike_slices        over so many slices
    pov_completion      `strict`: what volume did not allow stays undone; `complete`: goes up to max_participation
                        where the end comes near; `sweep`: takes the rest before the end
    """

    order_type: OrderStyle = "market"
    interval_seconds: float | None = 60.0
    target_pov: float = 0.2
    participation_rate: float | None = None
    of_total: bool = True
    own_in_tape: bool = False
    min_volume_threshold: float = 0.0
    feed_forward: bool = True
    lookback_days: int = 7
    spike: int = 5
    spike_slices: int = 3
    pov_completion: Literal["strict", "complete", "sweep"] = "strict"

    def __post_init__(self) -> None:
        Sliced.__post_init__(self)
        _rate("target_pov", self.target_pov)
        if self.participation_rate is not None:
            _rate("participation_rate", self.participation_rate)
        if self.max_participation is not None and self.max_participation < self.rate:
            raise ValueError(f"max_participation must be at least the target {self.rate}, was {self.max_participation}")
        checks.not_negative("min_volume_threshold", self.min_volume_threshold)
        checks.between("lookback_days", self.lookback_days, 1, 366)
        checks.between("spike", self.spike, 0, 1000)
        checks.between("spike_slices", self.spike_slices, 1, 1000)
        if self.completion != "cancel":
            raise ValueError(
                f"POV says how it ends by pov_completion; completion must stay cancel, was {self.completion}"
            )
        checks.one_of("pov_completion", self.pov_completion, ("strict", "complete", "sweep"))

    @property
    def rate(self) -> float:
        return self.target_pov if self.participation_rate is None else self.participation_rate

    @property
    def most(self) -> float:
        """The participation while catching up."""
        return min(0.99, 2 * self.rate) if self.max_participation is None else self.max_participation


@dataclass(frozen=True, slots=True, kw_only=True)
class IsParams(Sliced):
    """half_life_seconds   time in which what is left falls to 1/e, 1 / kappa; None: see risk_aversion and urgency
    risk_aversion       instead: expected cost that one unit of variance is worth, per unit of quote currency; 0: equal
                        slices. Where nothing is known of volatility and volume, the urgency says how steep
    urgency             `low`, `medium` or `high`: a half-life of all, half or a quarter of the horizon (medium where
                        nothing is said), and instead of an order type limit, limit_then_cross, market
    impact_coefficient  of the square-root law by which risk_aversion weighs speed against risk
    volume_time         whether the trajectory runs in usual volume instead of time
    lookback_days       days of the same type (weekday, weekend) from which usual volume is known
    """

    slice_count: int | None = IS_SLICES
    order_type: OrderStyle = "limit_then_cross"
    half_life_seconds: float | None = None
    risk_aversion: float | None = None
    impact_coefficient: float = 0.5
    volume_time: bool = False
    lookback_days: int = 7

    def __post_init__(self) -> None:
        Sliced.__post_init__(self)
        if self.half_life_seconds is not None:
            checks.between("half_life_seconds", self.half_life_seconds, 0.001, 1e9)
        if self.risk_aversion is not None:
            checks.between("risk_aversion", self.risk_aversion, 0, 1e9)
        if self.half_life_seconds is not None and self.risk_aversion is not None:
            raise ValueError(
                f"half_life_seconds and risk_aversion say the same thing: give one of them, "
                f"was {self.half_life_seconds} and {self.risk_aversion}"
            )
        checks.positive("impact_coefficient", self.impact_coefficient)
        checks.between("lookback_days", self.lookback_days, 1, 366)

    @property
    def steepness(self) -> float:
        """Half-lives in the horizon where neither a half-life nor a risk aversion says otherwise: kappa * T."""
        return STEEPNESS[self.urgency or "medium"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IcebergParams(Common):
    """visible_ratio       part of the quantity that is shown
    display_quantity    base quantity that is shown, instead of a ratio
    replenish_threshold part of the shown quantity that must be filled before more is shown
    clip_jitter         each clip is smaller than the display by up to this part; seeded
    levels              weights of one to five price levels, the best price first
    level_ticks         ticks between levels
    price               `fixed`: at limit_price; `peg`: at the near touch, following it; None: fixed where a limit is
    repeg_ticks         how far the touch moves before a pegged child follows it
    """

    visible_ratio: float = 0.1
    display_quantity: float | None = None
    replenish_threshold: float = 0.5
    clip_jitter: float = 0.0
    levels: tuple[float, ...] = (1.0,)
    level_ticks: int = 1
    price: Literal["fixed", "peg"] | None = None
    repeg_ticks: int = 1

    def __post_init__(self) -> None:
        Common.__post_init__(self)
        for name in ("visible_ratio", "replenish_threshold"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, was {value}")
        if self.display_quantity is not None:
            checks.positive("display_quantity", self.display_quantity)
        checks.between("clip_jitter", self.clip_jitter, 0, 0.9)
        checks.between("number of levels", len(self.levels), 1, 5)
        for weight in self.levels:
            checks.positive("weight of a level", weight)
        checks.between("level_ticks", self.level_ticks, 1, 1_000_000)
        checks.between("repeg_ticks", self.repeg_ticks, 1, 1_000_000)
        if self.max_participation is not None:
            raise ValueError(
                f"an iceberg rests and is not capped by volume: max_participation must be absent, "
                f"was {self.max_participation}"
            )
        if self.price == "fixed" and self.limit_price is None:
            raise ValueError("limit_price must be set where price is fixed, was None")


def read(kind: type[P], algo_type: str, defaults: Mapping[str, Any], params: Mapping[str, Any]) -> P:
    """The parameters of one parent: the executor's defaults, overridden by the parent's own.

    Raises ValueError naming the parameter, and the valid names where it is unknown.
    """
    known = [f.name for f in fields(kind)]
    given = {**defaults, **params}
    for name in given:
        if name not in known:
            raise ValueError(f"{algo_type} has no parameter {name!r}: {nearest(str(name), known)}")
    try:
        return codec.from_dict(kind, given)
    except ValueError as error:
        raise ValueError(str(error).replace(kind.__name__, f"{algo_type} parameters", 1)) from error


def _rate(field: str, value: float) -> None:
    if not 0 < value <= 0.99:
        raise ValueError(f"{field} must be above 0 and at most 0.99, was {value}")
