"""What a rule reads: the plan, fixed when a parent starts, and the view, which follows what happens.

Both hold integers only: lots, ticks and milliseconds since the start. The batch driver's tables have the same field
names, so one function serves both.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal

from core import checks
from core.instrument import MAX_LOTS

MAX_HORIZON_MS: Final = 24 * 3600 * 1000
MAX_SLICES: Final = 100_000
NS_PER_MS: Final = 1_000_000
NO_MARKET: Final = -(2**62)  # the time of market data that never came


class Style(IntEnum):
    """How a child meets the market."""

    MARKET = 0
    LIMIT = 1


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
    completion_seconds  how long before the end `complete` begins to cross; None: half a slice
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
    stale_seconds: float = 300.0
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

    def __post_init__(self) -> None:
        checks.one_of("side", self.side, (1, -1))
        checks.between("quantity in lots", self.quantity, 1, MAX_LOTS)
        checks.between("horizon_ms", self.horizon_ms, 1, MAX_HORIZON_MS)
        checks.between("slices", self.slices, 1, MAX_SLICES)
        checks.between("min_lots", self.min_lots, 1, MAX_LOTS)
        checks.between("catch_up", self.catch_up, 1, 1000)

    @property
    def end_ms(self) -> int:
        """The last moment at which anything of the parent may be in the market."""
        return self.horizon_ms + (self.extend_ms if self.completion == Completion.EXTEND else 0)


@dataclass(slots=True)
class View:
    """Where a parent stands. `open_lots` counts all that may still fill: sent, open, being cancelled and unknown."""

    now_ms: int = 0
    filled: int = 0
    open_lots: int = 0
    sent_in_slice: int = 0
    bid_ticks: int = 0
    ask_ticks: int = 0
    market_ms: int = NO_MARKET  # when the market was last seen, before 0 where that was before the start
