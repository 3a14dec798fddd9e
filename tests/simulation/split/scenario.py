"""What happens to three processes and their bus, drawn from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core.bars import Bars
from core.contracts import Side
from execution.config import FillConfig
from live.wanted import Wanted
from risk.limits import IntentLimits, RiskLimits
from tests.markets import SYMBOL
from tests.simulation.scenario import Draws, bars_for, limits, request_for
from tests.simulation.split.server import Weather

SECOND: Final = 1_000_000_000
MS: Final = 1_000_000
BEGINS_NS: Final = 1_000 * SECOND  # of the steady clock
KINDS: Final = ("broker", "risk", "router")
FENCED: Final = ("risk", "router")  # these may be replaced while they live
MOST_DEATHS: Final = 3  # of a process: a message is given out five times


@dataclass(frozen=True, slots=True)
class End:
    """How a life ends: at its n-th place (in or after a write or sync, at the kill switch), or so long after its birth.

    in_order: by a signal that it hears. power_cut: what its disk had not synced is gone.
    """

    place: int | None
    after_ns: int | None
    down_ns: int
    in_order: bool = False
    power_cut: bool = False


@dataclass(frozen=True, slots=True)
class HoldUp:
    """A process does nothing for a while, and does not know it; another may take over on a copy of its journals."""

    kind: str
    at_ns: int
    for_ns: int
    replaced: bool


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody's: `wish` and `rearm` with a payload, `kill` over the bus, `trip` and `clear` at the file."""

    at_ns: int
    what: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Times are of the steady clock, on which the tape runs `speed` times as fast."""

    seed: int
    bars: Bars
    half: float
    impact: bool
    fills: FillConfig
    speed: float
    parents: tuple[tuple[int, Wanted], ...]
    acts: tuple[Act, ...]
    limits: RiskLimits
    weather: Weather
    ends: dict[str, tuple[End, ...]]
    hold_ups: tuple[HoldUp, ...]
    full_at: dict[str, int]
    fails_at: dict[str, int]
    segment_bytes: int
    born_within_ns: int
    replays: tuple[int, ...]
    calm_ns: int


def scenario(seed: int) -> Scenario:
    """The world of a seed; a third of them is kind in this or that respect, so that parents get far."""
    draws = Draws(seed)
    power = Draws(seed, "power")  # of its own, so that the worlds that failed once are still those
    bars = bars_for(draws)
    speed = draws.one_of((60.0, 120.0, 300.0))
    length_ns = round(int(bars.ts_close_ns[-1] - bars.ts_open_ns[0]) / speed)
    sides: Sequence[Side] = draws.one_of((("buy",), ("sell",), ("buy", "sell")))
    parents = tuple(_parent(draws, number, sides, bars, length_ns) for number in range(draws.between(1, 4)))
    outages = _outages(draws, length_ns)
    return Scenario(
        seed=seed,
        bars=bars,
        half=draws.one_of((0.0, 0.01, 0.03)),
        impact=draws.happens(50),
        fills=FillConfig(
            max_participation=draws.one_of((0.1, 0.5, 1.0)), limit_rule=draws.one_of(("through", "touch"))
        ),
        speed=speed,
        parents=parents,
        acts=_acts(draws, [wanted for _, wanted in parents], length_ns),
        limits=_limits(draws),
        weather=draws.one_of(
            (
                Weather(100_000, outages=outages),
                Weather(MS, 5, 50 * MS, outages),
                Weather(5 * MS, 20, 500 * MS, outages),
            )
        ),
        ends={kind: _ends(draws, power, kind, length_ns) for kind in KINDS},
        hold_ups=_hold_ups(draws, length_ns),
        full_at={kind: draws.between(2_000, 60_000) for kind in KINDS if draws.happens(6)},
        fails_at={kind: draws.between(5, 200) for kind in KINDS if draws.happens(6)},
        segment_bytes=draws.one_of((4_000, 1 << 20)),
        born_within_ns=draws.one_of((10, 10, 2_000)) * MS,
        replays=tuple(BEGINS_NS + draws.dice(1 + length_ns // MS) * MS for _ in range(2)),
        calm_ns=BEGINS_NS + length_ns + 2 * SECOND,
    )


def _parent(draws: Draws, number: int, sides: Sequence[Side], bars: Bars, length_ns: int) -> tuple[int, Wanted]:
    """Half of them want to get done."""
    algo = request_for(draws, number, sides, int(bars.ts_open_ns[0]), int(bars.ts_close_ns[-1])).algo
    kind, params = algo.algo_type, dict(algo.params)
    if draws.happens(50):
        params |= {"completion": "complete"} if kind != "POV" else {"pov_completion": "complete"}
        params |= {} if kind == "Iceberg" else {"order_type": "market"}
    seconds = max(algo.duration_seconds, 150)
    wanted = Wanted(f"p-{number}", SYMBOL, algo.side, algo.total_quantity, kind, seconds, None, params)
    return BEGINS_NS + draws.dice(1 + length_ns // 3 // MS) * MS, wanted


def _acts(draws: Draws, parents: Sequence[Wanted], length_ns: int) -> tuple[Act, ...]:
    def moment() -> int:
        return BEGINS_NS + draws.dice(1 + length_ns // MS) * MS

    found: list[Act] = []
    for _ in range(draws.between(0, 4)):
        wishes: tuple[dict[str, Any], ...] = (
            {"do": "pause"},
            {"do": "resume"},
            {"do": "resume"},
            {"do": "cancel"},
            {"do": "amend", "quantity": float(draws.between(1, 2500))},
            {"do": "amend", "duration_seconds": draws.one_of((60, 600)), "limit_price": draws.one_of((99.9, 100.2))},
        )
        found.append(Act(moment(), "wish", {**draws.one_of(wishes), "id": draws.one_of(parents).id}))
    if draws.happens(15):
        first_ns = moment()
        found.append(Act(first_ns, draws.one_of(("kill", "trip")), {"by": "operator", "reason": "simulated"}))
        if draws.happens(50):
            found.append(Act(first_ns + draws.dice(2_000) * MS, "clear", {}))
    if draws.happens(20):
        found.append(Act(moment(), "rearm", {"by": "operator", "reason": "simulated"}))
    return tuple(sorted(found, key=lambda one: one.at_ns))


def _limits(draws: Draws) -> RiskLimits:
    """As in the trader's worlds, but messages take long on a tape that runs fast."""
    found = limits(draws)
    return replace(
        found,
        limits=replace(found.limits, max_reference_age_s=draws.one_of((300.0, 36_000.0, 36_000.0))),
        intents=IntentLimits(
            max_age_s=draws.one_of((60.0, 600.0, 36_000.0, 36_000.0)),
            duplicate_window_s=found.intents.duplicate_window_s,
        ),
    )


def _ends(draws: Draws, power: Draws, kind: str, length_ns: int) -> tuple[End, ...]:
    if draws.happens(50):
        return ()
    found: list[End] = []
    for _ in range(draws.between(0, MOST_DEATHS)):
        down_ns = draws.one_of((0, 100, 100, 1_000, 3_000, 12_000)) * MS  # the router asks after ten seconds
        if draws.happens(60):
            place = draws.between(1, draws.one_of((10, 50, 200)))
            found.append(End(place, None, down_ns, power_cut=(power if kind == "risk" else draws).happens(40)))
        else:
            after_ns = draws.dice(1 + length_ns * 4 // 3 // MS) * MS
            found.append(End(None, after_ns, down_ns, in_order=draws.happens(40)))
    return tuple(found)


def _hold_ups(draws: Draws, length_ns: int) -> tuple[HoldUp, ...]:
    found = []
    for _ in range(draws.one_of((0, 0, 1, 2))):
        kind = draws.one_of(KINDS)
        at_ns = BEGINS_NS + draws.dice(1 + length_ns // MS) * MS
        replaced = kind in FENCED and draws.happens(60)
        found.append(HoldUp(kind, at_ns, draws.between(10, 3_000) * MS, replaced))
    return tuple(found)


def _outages(draws: Draws, length_ns: int) -> tuple[tuple[int, int], ...]:
    found = []
    for _ in range(draws.one_of((0, 0, 1, 2))):
        begins = BEGINS_NS + draws.dice(1 + length_ns // MS) * MS
        long_s = 25 if draws.happens(8) else 0
        found.append((begins, begins + long_s * SECOND + draws.between(1, 2_000) * MS))
    return tuple(sorted(found))
