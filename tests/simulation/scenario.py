"""What happens in a simulated world, drawn from its seed: market, parents, operator, faults at every seam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from broker.faults import Faults
from core.bars import Bars
from core.chance import Dice
from core.contracts import Side
from execution.config import FillConfig
from execution.contracts import AlgoType, ExecutionAlgorithm
from execution.events import Amend, Cancel, Pause, Resume
from execution.intake import Request
from live.engine import Wish
from live.questions import Patience
from risk.limits import (
    AccountLimits,
    IntentLimits,
    RateLimits,
    RejectLimits,
    RepeatLimits,
    RiskLimits,
    SymbolLimits,
)
from tests.markets import SYMBOL, Row, bars_of, cents

SECOND: Final = 1_000_000_000
ALGORITHMS: Final[tuple[AlgoType, ...]] = ("TWAP", "VWAP", "Iceberg", "POV", "IS")
T = TypeVar("T")

_POLICIES: Final[dict[str, Sequence[Any]]] = {
    "completion": ("cancel", "complete", "extend"),
    "catch_up": (1, 2, 3),
    "retries": (0, 1, 3),
    "retry_seconds": (0.5, 7.0, 60.0),
    "stale_seconds": (0.0, 60.0, 120.0, 300.0),
    "pull_on_pause": (True, False),
    "limit_price": (99.5, 100.0, 100.4),
    "max_participation": (0.3, 0.6),
}
_SLICED: Final[dict[str, Sequence[Any]]] = {
    **_POLICIES,
    "slice_count": (1, 2, 3, 5, 8, 12),
    "order_type": ("limit", "market", "limit_then_cross"),
    "rest_share": (0.0, 0.5, 0.65, 1.0),
    "repeg_ticks": (1, 3, 20),
    "cross_spreads": (0, 1, 3),
}
_OWN_TO_POV: Final = ("slice_count", "max_participation", "completion")
OPTIONS: Final[dict[AlgoType, dict[str, Sequence[Any]]]] = {
    "TWAP": {**_SLICED, "randomize_time": (0.2, 0.5), "randomize_size": (0.3, 0.9)},
    "VWAP": {**_SLICED, "reweight": (True, False), "max_stray": (0.05, 0.5)},
    "POV": {
        **{name: values for name, values in _SLICED.items() if name not in _OWN_TO_POV},
        "interval_seconds": (30.0, 60.0, 100.0),
        "target_pov": (0.1, 0.3),
        "of_total": (True, False),
        "own_in_tape": (True, False),
        "min_volume_threshold": (0.0, 200.0),
        "feed_forward": (True, False),
        "pov_completion": ("strict", "complete", "sweep"),
    },
    "IS": {**_SLICED, "half_life_seconds": (0.001, 60.0, 1e9), "volume_time": (True, False)},
    "Iceberg": {
        **{name: values for name, values in _POLICIES.items() if name != "max_participation"},
        "visible_ratio": (0.05, 0.3, 1.0),
        "replenish_threshold": (0.2, 0.5, 1.0),
        "clip_jitter": (0.2, 0.9),
        "levels": ((1.0,), (0.6, 0.4), (3.0, 2.0, 1.0)),
        "level_ticks": (1, 5),
        "price": ("fixed", "peg"),
        "repeg_ticks": (1, 20),
    },
}


@dataclass(frozen=True, slots=True)
class Bus:
    """Chances in a hundred that a message comes twice, or up to `delay_ns` late, and so behind others."""

    repeats: int = 0
    late: int = 0
    delay_ns: int = 0


@dataclass(frozen=True, slots=True)
class Death:
    """The process dies at its n-th place since it began: in or after a write or sync, before or after an effect."""

    place: int
    power_cut: bool
    down_ns: int


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody's request: a wish for an execution, or `kill`, `trip` (by hand, past the trader), `clear`."""

    ts_ns: int
    what: str
    execution_id: str = ""
    wish: Wish | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """`full_at` and `sync_fails_at`: the disk's troubles, in bytes and in operations; `jumps`: what the trader's
    clock shows beside the true time from a moment on."""

    seed: int
    bars: Bars
    half: float
    impact: bool
    fills: FillConfig
    requests: tuple[Request, ...]
    operators: tuple[Operator, ...]
    faults: Faults
    patience: Patience
    limits: RiskLimits
    bus: Bus
    deaths: tuple[Death, ...]
    jumps: tuple[tuple[int, int], ...]
    full_at: int | None
    sync_fails_at: int | None
    kill_store_fails: bool
    segment_bytes: int


class Draws:
    """What a seed decides."""

    def __init__(self, seed: int, of: str = "simulation") -> None:
        self.dice = Dice(of, seed)

    def one_of(self, options: Sequence[T]) -> T:
        return options[self.dice(len(options))]

    def between(self, low: int, high: int) -> int:
        return low + self.dice(high - low + 1)

    def happens(self, in_a_hundred: int) -> bool:
        return self.dice(100) < in_a_hundred


def scenario(seed: int) -> Scenario:
    """The world of a seed. A quarter of the worlds is kind in this or that respect, so that parents get far."""
    draws = Draws(seed)
    bars = bars_for(draws)
    begins, ends = int(bars.ts_open_ns[0]), int(bars.ts_close_ns[-1])
    sides: Sequence[Side] = draws.one_of((("buy",), ("sell",), ("buy", "sell")))
    requests = tuple(request_for(draws, number, sides, begins, ends) for number in range(draws.between(1, 4)))
    arrival_ns = draws.one_of((0, 2, 5)) * SECOND
    return Scenario(
        seed=seed,
        bars=bars,
        half=draws.one_of((0.0, 0.01, 0.03)),
        impact=draws.happens(50),
        fills=FillConfig(
            max_participation=draws.one_of((0.1, 0.5, 1.0)), limit_rule=draws.one_of(("through", "touch"))
        ),
        requests=requests,
        operators=_operators(draws, requests, begins, ends),
        faults=_faults(draws, arrival_ns),
        patience=Patience(
            answer_ns=draws.one_of((200_000_000, SECOND, 5 * SECOND)),
            quiet_ns=draws.one_of((10, 30)) * SECOND,
            arrival_ns=arrival_ns,
        ),
        limits=limits(draws),
        bus=draws.one_of((Bus(), Bus(10, 20, 5 * SECOND), Bus(30, 50, 90 * SECOND))),
        deaths=tuple(
            Death(
                draws.between(1, draws.one_of((20, 100, 300))), draws.happens(40), draws.one_of((0, 0, 1, 20)) * SECOND
            )
            for _ in range(draws.between(0, 4))
        ),
        jumps=_jumps(draws, begins, ends),
        full_at=draws.between(2_000, 60_000) if draws.happens(10) else None,
        sync_fails_at=draws.between(5, 200) if draws.happens(10) else None,
        kill_store_fails=draws.happens(20),
        segment_bytes=draws.one_of((4_000, 1 << 20)),
    )


def bars_for(draws: Draws) -> Bars:
    """Eight to twenty-four minutes that move about by ticks; some have no volume, some are missing."""
    n = draws.between(8, 24)
    rows: list[Row] = []
    price = 10_000
    for _ in range(n):
        opens = price + draws.between(-3, 3)
        closes = opens + draws.between(-15, 15)
        high, low = max(opens, closes) + draws.between(0, 11), min(opens, closes) - draws.between(0, 11)
        volume = float(draws.between(50, 3000)) if draws.happens(90) else 0.0
        rows.append((cents(opens), cents(high), cents(low), cents(closes), volume))
        price = closes
    return bars_of(rows, pauses=[2 * int(draws.happens(5)) for _ in range(n)])


def request_for(draws: Draws, number: int, sides: Sequence[Side], begins: int, ends: int) -> Request:
    kind = draws.one_of(ALGORITHMS)
    params = {name: draws.one_of(values) for name, values in OPTIONS[kind].items() if draws.happens(30)}
    if kind != "Iceberg" and draws.happens(60):
        params["order_type"] = draws.one_of(("market", "limit_then_cross"))
    if "completion" in OPTIONS[kind] and draws.happens(40):
        params["completion"] = "complete"
    if params.get("completion") == "extend":
        params["extend_seconds"] = 60.0
    seconds = draws.one_of((30, 150, 300, 450, 600, 900))
    algo = ExecutionAlgorithm(kind, SYMBOL, draws.one_of(sides), float(draws.between(1, 1500)), seconds, params)
    start_ns = begins + SECOND + draws.dice(max(1, (ends - begins) // 2 // SECOND)) * SECOND
    return Request(f"x-{number}", f"p-{number}", f"strategy-{draws.dice(2)}", algo, start_ns, 100.0)


def _operators(draws: Draws, requests: Sequence[Request], begins: int, ends: int) -> tuple[Operator, ...]:
    found: list[Operator] = []
    for _ in range(draws.between(0, 4)):
        request = draws.one_of(requests)
        at_ns = begins + draws.dice((ends - begins) // SECOND) * SECOND
        wishes: tuple[Wish, ...] = (
            Pause(),
            Resume(),
            Resume(),
            Cancel(),
            Amend(quantity=draws.between(1, 2500)),
            Amend(end_ns=at_ns + 300 * SECOND, limit_ticks=draws.one_of((0, 9_990, 10_020))),
        )
        found.append(Operator(at_ns, "wish", request.execution_id, draws.one_of(wishes)))
    if draws.happens(35):
        at_ns = begins + draws.dice((ends - begins) // SECOND) * SECOND + draws.dice(SECOND)
        found.append(Operator(at_ns, draws.one_of(("kill", "trip"))))
        if draws.happens(40):
            found.append(Operator(at_ns + draws.between(1, 200) * SECOND, "clear"))
    return tuple(sorted(found, key=lambda one: one.ts_ns))


def _faults(draws: Draws, arrival_ns: int) -> Faults:
    kind = draws.dice(4)
    if kind == 0:
        return Faults(arrival_ns=arrival_ns)
    often = (0.0, 0.0, 0.03, 0.15) if kind < 3 else (0.0, 0.1, 0.3, 0.5)
    names = [name for name in Faults.__dataclass_fields__ if not name.endswith("_ns")]
    chances: dict[str, Any] = {name: draws.one_of(often) for name in names}
    chances["outage"] = min(chances["outage"], 0.03)
    if arrival_ns == 0:
        chances["late_request"] = chances["hidden"] = 0.0
    times: Mapping[str, int] = {
        "delay_ns": draws.one_of((1, 60, 300)) * SECOND,
        "outage_ns": draws.between(1, 90) * SECOND,
    }
    return replace(Faults(arrival_ns=arrival_ns, **times), **chances)


def limits(draws: Draws) -> RiskLimits:
    """Here and there one that is tight enough to refuse a good deal."""

    def limit(loose: T, tight: T) -> T:
        return tight if draws.happens(12) else loose

    return RiskLimits(
        symbols=(SYMBOL,),
        limits=SymbolLimits(
            max_order_qty=limit(10_000.0, 100.0),
            max_order_notional=limit(1e6, 20_000.0),
            max_position_qty=limit(5_000.0, 300.0),
            max_open_orders=limit(50, 2),
            price_collar_bps=limit(500.0, 10.0),
            max_reference_age_s=limit(600.0, 70.0),
        ),
        account=AccountLimits(
            max_open_notional=1e6, buying_power=1e6, max_open_orders=100, max_daily_loss=limit(1e6, 200.0)
        ),
        rate=RateLimits(window_s=10.0, max_orders=limit(50, 5), max_cancels=limit(100, 5)),
        repeats=RepeatLimits(window_s=60.0, max_executions=limit(1000, 5)),
        rejects=RejectLimits(window_s=300.0, last_orders=20, max_rejects=limit(19, 4)),
        intents=IntentLimits(max_age_s=60.0, duplicate_window_s=limit(1.0, 60.0)),
        parents="required",
        venue_filters="required",
        kill_switch_file="simulated",
    )


def _jumps(draws: Draws, begins: int, ends: int) -> tuple[tuple[int, int], ...]:
    if draws.happens(60):
        return ()
    times = sorted(begins + draws.dice((ends - begins) // SECOND) * SECOND for _ in range(draws.between(1, 2)))
    return tuple((at_ns, draws.one_of((-120, -5, -1, 1, 5, 30, 120)) * SECOND) for at_ns in times)
