"""What a rule reads: the plan, fixed when a parent starts, and the view, which follows what happens.

Both hold integers only: lots, ticks and milliseconds since the start. The batch driver's tables have the same field
names, so one function serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal, NamedTuple

from core import checks
from core.instrument import MAX_LOTS

MAX_HORIZON_MS: Final = 24 * 3600 * 1000
MAX_SLICES: Final = 100_000
MAX_RATIO_PPM: Final = 99_000_000  # 99 % of all volume
MAX_TAPE_LOTS: Final = 90_000_000_000  # of others' volume per parent: times the ratio it stays below 2**63
NS_PER_MS: Final = 1_000_000
NO_MARKET: Final = -(2**62)  # the time of market data that never came


class Style(IntEnum):
    """How a child meets the market."""

    MARKET = 0  # takes at once
    LIMIT = 1  # rests at the mid
    REST_THEN_CROSS = 2  # rests at the near touch for a part of its slice, then crosses with a capped limit
    PEG = 3  # rests at the near touch and follows it
    FIXED = 4  # rests at the parent's limit


class Completion(IntEnum):
    """What happens to the rest at the end of the horizon."""

    CANCEL = 0
    COMPLETE = 1
    EXTEND = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that is a choice and not arithmetic; the defaults are the documented ones.

    completion          `cancel`: open children are cancelled at the end of the horizon and the rest stays undone;
                        `complete`: the rest is crossed before the end; `extend`: work on for `extend_seconds`
    completion_seconds  how long before the end `complete` begins to cross; None: half a slice (of an
                        iceberg, which has none: a twentieth of the horizon)
    extend_seconds      how long `extend` works on after the horizon
    catch_up            a slice sends at most this many nominal slices, however late it is
    retries             refusals in a row after which the parent fails; each waits twice as long as the one before
    retry_seconds       the first wait
    stale_seconds       market data older than this pauses the parent until there is newer data; 0: never
    pull_on_pause       whether a pause cancels what rests in the market
    """

    completion: Literal["cancel", "complete", "extend"] = "cancel"
    completion_seconds: float | None = None
    extend_seconds: float = 0.0
    catch_up: int = 3
    retries: int = 3
    retry_seconds: float = 1.0
    stale_seconds: float = 120.0
    pull_on_pause: bool = True

    def __post_init__(self) -> None:
        checks.one_of("completion", self.completion, ("cancel", "complete", "extend"))
        if self.completion_seconds is not None:
            checks.positive("completion_seconds", self.completion_seconds)
        checks.between("extend_seconds", self.extend_seconds, 0, 24 * 3600)
        if self.completion == "extend" and self.extend_seconds == 0:
            raise ValueError("extend_seconds must be above 0 where completion is extend, was 0")
        checks.between("catch_up", self.catch_up, 1, 1000)
        checks.between("retries", self.retries, 0, 1000)
        checks.positive("retry_seconds", self.retry_seconds)
        checks.not_negative("stale_seconds", self.stale_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A parent order as its rule sees it.

    quantity       lots to do
    horizon_ms     from the first to the last moment of the schedule
    slices         number of slices, already reduced where lots or venue minima allow no more
    nominal        lots of an ordinary slice, rounded up
    min_lots       the fewest lots the venue takes as one order
    catch_up       most nominal slices sent within one slice
    style          how children meet the market
    limit_ticks    the parent's worst price; 0: none
    completion     what happens to the rest: COMPLETE from `completion_ms` before the end, EXTEND by `extend_ms`
    stale_ms       age of market data that is too old to act on; 0: never

    Volume, all in lots of others' trading; a ratio of own to others' quantity in millionths is r / (1 - r) * 10**6:
    ratio_ppm      the participation that is aimed at; 0: none
    cap_ppm        the most of a slice's volume that is sent in the next; 0: no cap
    own_in_tape    1: the volume that is reported includes our own trades
    min_volume     a slice with less volume sends nothing
    feed_forward   1: aims at what the coming slice will trade too, and not only at what has traded
    hurry          1: where the rest can no longer be done at `cap_ppm`, does what it must now
    spike          a slice's volume beyond so many ordinary ones counts later, spread over `spike_slices`; 0: at once
    reweight       1: follows the volume that comes in, at most `stray_ppm` of the quantity from the planned curve,
                   until `settle_ppm` of the expected volume has traded
    persist_ppm    how much of a surprise in the level of volume is expected to go on

    Display and price:
    display        most lots shown at any time; 0: no bound
    refill_ppm     shows more once no more than this part of the display is left
    levels         number of price levels, `level_ticks` apart
    rest_ppm       REST_THEN_CROSS: the part of a slice that rests
    repeg_ticks    how far the touch moves before a resting child follows
    cross_spreads  a crossing child pays at most so many spreads beyond the far touch; 0: it is a market order
    jitter_ppm     a clip is smaller than the display by up to this part, drawn per child
    """

    side: int
    quantity: int
    horizon_ms: int
    slices: int = 1
    nominal: int = 1
    min_lots: int = 1
    catch_up: int = 3
    style: int = Style.MARKET
    limit_ticks: int = 0
    completion: int = Completion.CANCEL
    completion_ms: int = 0
    extend_ms: int = 0
    stale_ms: int = 0
    ratio_ppm: int = 0
    cap_ppm: int = 0
    own_in_tape: int = 0
    min_volume: int = 0
    feed_forward: int = 0
    hurry: int = 0
    spike: int = 0
    spike_slices: int = 3
    reweight: int = 0
    stray_ppm: int = 100_000
    settle_ppm: int = 600_000
    persist_ppm: int = 750_000
    display: int = 0
    refill_ppm: int = 0
    levels: int = 1
    level_ticks: int = 1
    rest_ppm: int = 0
    repeg_ticks: int = 1
    cross_spreads: int = 0
    jitter_ppm: int = 0

    def __post_init__(self) -> None:
        checks.one_of("side", self.side, (1, -1))
        checks.between("quantity in lots", self.quantity, 1, MAX_LOTS)
        checks.between("horizon_ms", self.horizon_ms, 1, MAX_HORIZON_MS)
        checks.between("slices", self.slices, 1, MAX_SLICES)
        checks.between("min_lots", self.min_lots, 1, MAX_LOTS)
        checks.between("catch_up", self.catch_up, 1, 1000)
        checks.between("ratio_ppm", self.ratio_ppm, 0, MAX_RATIO_PPM)
        checks.between("cap_ppm", self.cap_ppm, 0, MAX_RATIO_PPM)
        checks.between("display", self.display, 0, MAX_LOTS)
        checks.between("levels", self.levels, 1, 5)

    @property
    def end_ms(self) -> int:
        """The last moment at which anything of the parent may be in the market."""
        return self.horizon_ms + (self.extend_ms if self.completion == Completion.EXTEND else 0)


class Curve(NamedTuple):
    """A schedule that is not a formula: cumulative figures, one per slice, empty where the rule needs none.

    `starts_ms`: when each slice begins. `targets`: lots due by the end of each slice, the last is the quantity.
    `volume`: others' lots expected to trade by the end of each slice.
    """

    starts_ms: Sequence[int] = ()
    targets: Sequence[int] = ()
    volume: Sequence[int] = ()


@dataclass(slots=True)
class View:
    """Where a parent stands. `open_lots` counts all that may still fill: sent, open, being cancelled and unknown.

    Volumes are others' lots since the start, as known when the present slice began: `tape` all of it, `last` that of
    the slice before, `counted` what counts towards participation, `held` what a spike left to be counted later.
    """

    now_ms: int = 0
    filled: int = 0
    open_lots: int = 0
    sent_in_slice: int = 0
    bid_ticks: int = 0
    ask_ticks: int = 0
    tape: int = 0
    last: int = 0
    counted: int = 0
    held: int = 0
    market_ms: int = NO_MARKET  # when the market was last seen, before 0 where that was before the start
