"""`config/execution.yaml`: how parents are worked and how the simulated market fills them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from core import checks, config
from execution.contracts import MAX_DURATION_SECONDS, AlgoType
from execution.fills import FillRule
from execution.params import IS_SLICES, IsParams, OrderStyle
from execution.plan import MAX_SLICES
from execution.routing.settings import DEFAULT_LEARNING, ROUTERS, LearningConfig, check_arm

SlippageName = Literal["square_root", "linear", "power", "almgren", "fixed_bps", "none"]
QueueName = Literal["risk_averse", "power", "log"]
MAX_LATENCY_MS: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TwapConfig:
    type: Literal["TWAP"] = "TWAP"
    default_slices: int = 10
    order_type: Literal["limit", "market"] = "limit"

    def __post_init__(self) -> None:
        checks.between("default_slices", self.default_slices, 1, MAX_SLICES)


@dataclass(frozen=True, slots=True, kw_only=True)
class VwapConfig:
    type: Literal["VWAP"] = "VWAP"
    lookback_days: int = 7
    min_volume_threshold: float = 1000.0

    def __post_init__(self) -> None:
        checks.between("lookback_days", self.lookback_days, 1, 366)
        checks.not_negative("min_volume_threshold", self.min_volume_threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class IcebergConfig:
    type: Literal["Iceberg"] = "Iceberg"
    visible_ratio: float = 0.1
    replenish_threshold: float = 0.5

    def __post_init__(self) -> None:
        for name in ("visible_ratio", "replenish_threshold"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, was {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PovConfig:
    type: Literal["POV"] = "POV"
    target_pov: float = 0.2
    min_volume_threshold: float = 1000.0

    def __post_init__(self) -> None:
        if not 0 < self.target_pov < 1:
            raise ValueError(f"target_pov must be between 0 and 1, was {self.target_pov}")
        checks.not_negative("min_volume_threshold", self.min_volume_threshold)


@dataclass(frozen=True, slots=True, kw_only=True)
class IsConfig:
    type: Literal["IS"] = "IS"
    default_slices: int = IS_SLICES
    order_type: OrderStyle = "limit_then_cross"
    half_life_seconds: float | None = None
    risk_aversion: float | None = None

    def __post_init__(self) -> None:
        checks.between("default_slices", self.default_slices, 1, MAX_SLICES)
        IsParams(half_life_seconds=self.half_life_seconds, risk_aversion=self.risk_aversion)  # has the bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class SlippageConfig:
    """model               `square_root`, `linear`, `power`, `almgren`, `fixed_bps` or `none` (the spread alone)
    impact_coefficient  of the first three; multiplies the volatility of the days before the parent where there are any
    permanent_share     of their impact: the part that stays
    exponent            of `power`
    eta, gamma, beta    of `almgren`: temporary, permanent, exponent of the temporary part
    turnover_days       of `almgren`: days of volume that make up what is outstanding
    fixed_bps           of `fixed_bps`, beside the spread
    calibration         a file that `fillwright calibrate` wrote, beside the file that names it: what it says under
                        `slippage` wins over the rest. `load` reads it, and then this is the hash of its content

    What belongs to other models than the one that is named is not read.
    """

    model: SlippageName = "square_root"
    impact_coefficient: float = 0.5
    permanent_share: float = 1 / 3
    exponent: float = 0.6
    eta: float = 0.142
    gamma: float = 0.314
    beta: float = 0.6
    turnover_days: float = 150.0
    fixed_bps: float = 5.0
    calibration: str | None = None

    def __post_init__(self) -> None:
        for name in ("impact_coefficient", "eta", "gamma", "fixed_bps"):
            checks.not_negative(name, getattr(self, name))
        checks.between("permanent_share", self.permanent_share, 0, 1)
        for name in ("exponent", "beta"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, was {getattr(self, name)}")
        checks.positive("turnover_days", self.turnover_days)


@dataclass(frozen=True, slots=True, kw_only=True)
class FillConfig:
    """max_participation    share of a bar's volume that all our orders together may trade
    limit_rule           `through`: a resting order fills when the market trades beyond it; `touch`: at it
    assumed_spread_bps   quoted spread where neither quotes nor the instrument nor past bars tell; the report says so
    queue                who cancels in a queue that we stand in, on quotes or a book: `risk_averse` (those behind us,
                         as long as that can be), `power` or `log` (in proportion to f of what is behind and ahead)
    queue_exponent       of `power`: f(x) = x^n
    queue_ahead          on trades alone: lots ahead of a resting order; null: it fills when the market trades through
    *_latency_ms         whole milliseconds, on ticks: `feed` from a change of the market until we see it, `order` and
                         `cancel` until the venue acts, `response` until we hear of a fill, a close or a reject

    The first two are of bars and, but for a book's own queue, of trades; the last seven of trades, quotes and books.
    """

    max_participation: float = 0.1
    limit_rule: FillRule = "through"
    assumed_spread_bps: float = 5.0
    queue: QueueName = "risk_averse"
    queue_exponent: float = 2.0
    queue_ahead: float | None = None
    feed_latency_ms: int = 0
    order_latency_ms: int = 0
    cancel_latency_ms: int = 0
    response_latency_ms: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.max_participation <= 1:
            raise ValueError(f"max_participation must be above 0 and at most 1, was {self.max_participation}")
        checks.one_of("limit_rule", self.limit_rule, ("through", "touch"))
        checks.not_negative("assumed_spread_bps", self.assumed_spread_bps)
        checks.one_of("queue", self.queue, ("risk_averse", "power", "log"))
        checks.positive("queue_exponent", self.queue_exponent)
        if self.queue_ahead is not None:
            checks.not_negative("queue_ahead", self.queue_ahead)
        for name in ("feed_latency_ms", "order_latency_ms", "cancel_latency_ms", "response_latency_ms"):
            checks.between(name, getattr(self, name), 0, MAX_LATENCY_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingConfig:
    """default_algo           the algorithm for parents that do not name one
    large_order_threshold  notional in quote currency from which an order counts as large
    urgency_threshold      seconds below which an order counts as urgent
    duration_seconds       the horizon of parents that do not name one
    router                 who chooses: null: default_algo for all; `rules`, `learn`, or an algorithm (IS:high)
    max_participation      part of the volume expected above which an order keeps to a share of it
    wide_spread_bps        from which a spread counts as wide
    least_regularity       R^2 of the day's volume curve below which large orders do not follow it
    """

    default_algo: AlgoType = "TWAP"
    large_order_threshold: float = 10000.0
    urgency_threshold: float = 300.0
    duration_seconds: int = 1800
    router: str | None = None
    max_participation: float = 0.1
    wide_spread_bps: float = 20.0
    least_regularity: float = 0.0
    learning: LearningConfig = DEFAULT_LEARNING

    def __post_init__(self) -> None:
        checks.positive("large_order_threshold", self.large_order_threshold)
        checks.not_negative("urgency_threshold", self.urgency_threshold)
        checks.between("duration_seconds", self.duration_seconds, 1, MAX_DURATION_SECONDS)
        if self.router is not None:
            check_arm("router", self.router, *ROUTERS)
        if not 0 < self.max_participation <= 1:
            raise ValueError(f"max_participation must be above 0 and at most 1, was {self.max_participation}")
        checks.positive("wide_spread_bps", self.wide_spread_bps)
        checks.finite("least_regularity", self.least_regularity)


AlgorithmConfig = TwapConfig | VwapConfig | IcebergConfig | PovConfig | IsConfig
DEFAULT_FILLS = FillConfig()
DEFAULT_ALGORITHMS: tuple[AlgorithmConfig, ...] = (
    TwapConfig(),
    VwapConfig(),
    IcebergConfig(),
    PovConfig(),
    IsConfig(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionConfig:
    algorithms: tuple[AlgorithmConfig, ...] = DEFAULT_ALGORITHMS
    slippage: SlippageConfig = SlippageConfig()
    fills: FillConfig = DEFAULT_FILLS
    routing: RoutingConfig = RoutingConfig()

    def __post_init__(self) -> None:
        types = [algorithm.type for algorithm in self.algorithms]
        for name in types:
            if types.count(name) > 1:
                raise ValueError(f"algorithms must name each type once, was {name} {types.count(name)} times")
        if self.routing.default_algo not in types:
            raise ValueError(
                f"routing.default_algo must be one of the algorithms listed ({', '.join(types) or 'none'}), "
                f"was {self.routing.default_algo}"
            )

    def defaults(self, algo_type: AlgoType) -> dict[str, Any]:
        """The settings of one algorithm as executor arguments. Raises ValueError where it is not configured."""
        for algorithm in self.algorithms:
            if algorithm.type == algo_type:
                return EXECUTOR_ARGUMENTS[algo_type](algorithm)
        raise ValueError(f"algorithm {algo_type} is not configured under execution.algorithms")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFile:
    execution: ExecutionConfig


def load(path: Path | str) -> ExecutionConfig:
    """The execution settings of a YAML file, with the calibration that it names.

    Raises ConfigError: one line with file, place and remedy.
    """
    settings = config.load(path, ExecutionFile).execution
    if settings.slippage.calibration is None:
        return settings
    return replace(settings, slippage=_calibrated(settings.slippage, Path(path).parent))


def _calibrated(slippage: SlippageConfig, folder: Path) -> SlippageConfig:
    from research.calibration.result import read_slippage

    file = folder / str(slippage.calibration)
    said, digest = read_slippage(file)
    return config.parse({**asdict(slippage), **said, "calibration": digest}, SlippageConfig, source=f"{file}: slippage")


def _twap(c: Any) -> dict[str, Any]:
    return {"slice_count": c.default_slices, "order_type": c.order_type}


def _vwap(c: Any) -> dict[str, Any]:
    return {"lookback_days": c.lookback_days, "min_volume_threshold": c.min_volume_threshold}


def _iceberg(c: Any) -> dict[str, Any]:
    return {"visible_ratio": c.visible_ratio, "replenish_threshold": c.replenish_threshold}


def _pov(c: Any) -> dict[str, Any]:
    return {"target_pov": c.target_pov, "min_volume_threshold": c.min_volume_threshold}


def _is(c: Any) -> dict[str, Any]:
    return {
        "slice_count": c.default_slices,
        "order_type": c.order_type,
        "half_life_seconds": c.half_life_seconds,
        "risk_aversion": c.risk_aversion,
    }


EXECUTOR_ARGUMENTS = {"TWAP": _twap, "VWAP": _vwap, "Iceberg": _iceberg, "POV": _pov, "IS": _is}
