"""Executors that look at how past days traded: VWAP, POV and IS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from execution.algorithm import Terms
from execution.conditions import DAY_NS
from execution.plan import NS_PER_MS
from execution.profile import Profile, Profiles, VolumeHistory, uniform, volume_profile, volume_profiles
from execution.sliced import SlicedExecutor
from research.data_reader import DataReader

Ints = NDArray[np.int64]


class HistoricalExecutor(SlicedExecutor):
    """Past volumes come from `history` where it is given, else from the reader's one-minute bars."""

    def __init__(
        self, strategy_id: str, data_reader: DataReader | None, history: VolumeHistory | None, **keywords: Any
    ) -> None:
        super().__init__(strategy_id, **keywords)
        self.data_reader = data_reader
        self._history = history

    def past_profile(
        self, symbol: str, terms: Terms, bins: int, lookback_days: int, least_volume: float = 0.0
    ) -> Profile:
        """The expected volume curve of the terms' stretch of time; uniform, and why, where the past does not tell."""
        try:
            history = self.history_before(symbol, terms.start_ns, lookback_days)
        except DataError as error:
            return uniform(bins, f"no history, {_what(error)}")
        duration_ns = terms.horizon_ms * NS_PER_MS
        return volume_profile(history, terms.start_ns, duration_ns, bins, lookback_days, least_volume)

    def past_profiles(
        self, symbol: str, starts_ns: Ints, horizon_ms: int, bins: int, lookback_days: int, least_volume: float = 0.0
    ) -> Iterator[Profiles]:
        """`past_profile` from each of many starts, some of them at a time."""
        if self._history is not None or self.data_reader is None:
            duration_ns = horizon_ms * NS_PER_MS
            yield from volume_profiles(self._history, starts_ns, duration_ns, bins, lookback_days, least_volume)
            return
        for row, start_ns in enumerate(starts_ns.tolist()):
            terms = Terms(quantity=1, horizon_ms=horizon_ms, limit_ticks=0, start_ns=start_ns)
            one = self.past_profile(symbol, terms, bins, lookback_days, least_volume)
            yield Profiles(np.array([row]), one.weights[np.newaxis], one.volume[np.newaxis])

    def history_before(self, symbol: str, start_ns: int, lookback_days: int) -> VolumeHistory | None:
        """The past of a symbol, far enough back for so many days of one type; None where nobody was given.

        Raises DataError where the reader has no bars of it.
        """
        if self._history is not None or self.data_reader is None:
            return self._history
        first_ns = start_ns - (4 * lookback_days + 8) * DAY_NS
        return VolumeHistory(self.data_reader.bars(symbol, "1m", first_ns, start_ns))


def _what(error: DataError) -> str:
    """What is missing, without the advice that follows it."""
    return str(error).split(";")[0]
