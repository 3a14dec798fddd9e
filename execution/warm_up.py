"""Compiles what is compiled, and leaves it on disk: `python -m execution.warm_up`, which `make setup` runs.

It does so by playing tiny markets through the public drivers, one for each of them, so that nothing has to be listed
twice. Where everything is on disk already this takes half a second. Without numba, or without a folder to write to,
there is nothing to prepare: the first run compiles for itself, or is played as plain Python.
"""

from __future__ import annotations

from typing import Final

import click

from core.console import note, run

START_NS: Final = 1_700_006_400_000_000_000  # midnight
MINUTE_NS: Final = 60_000_000_000
MINUTES: Final = 30


@click.command("warm_up")
def command() -> None:
    """Compile the drivers beforehand, so that no run has to wait for it."""
    try:
        warm_up()
    except Exception as error:  # noqa: BLE001 - whatever keeps it from compiling now, everything works without
        note(f"nothing compiled beforehand, the first run will ({type(error).__name__}: {error})")


def warm_up() -> None:
    """Plays two parents on a few bars and two orders in each kind of market of events."""
    play_bars()
    play_events()


def play_bars() -> None:
    """A parent that waits at its limits and one that only takes, through the batch driver."""
    import numpy as np

    from core.bars import Bars
    from core.instrument import Instrument
    from execution.batch import Job, play
    from execution.contracts import ExecutionAlgorithm
    from execution.slippage import SquareRootSlippageModel
    from execution.spread import bar_spread
    from execution.venue import venue

    opens_ns = START_NS + MINUTE_NS * np.arange(MINUTES)
    columns = [np.full(MINUTES, level) for level in (100.0, 100.2, 99.8, 100.0, 1e4)]
    bars = Bars("WARM/UP", opens_ns, opens_ns + MINUTE_NS, *columns)
    instrument = Instrument(bars.symbol, tick="0.1", lot="1")
    place = venue(bars, instrument, SquareRootSlippageModel(0.5), spread=bar_spread(bars, instrument, None, 5.0))
    ways: tuple[dict[str, object], ...] = ({"order_type": "limit_then_cross"}, {"order_type": "market"})
    for params in ways:
        play(place, [Job(ExecutionAlgorithm("TWAP", bars.symbol, "buy", 100.0, 600, params), START_NS)])


def play_events() -> None:
    """An order that rests and one that takes, on trades, on quotes and on a book; and the best prices of the book."""
    import numpy as np

    from core.contracts import OrderIntent
    from core.instrument import Instrument
    from execution.config import DEFAULT_FILLS
    from execution.ticks.feed import TickFeed
    from execution.ticks.market import TickMarket
    from execution.ticks.prepared import best_of
    from execution.ticks.rows import ASK_LEVEL, BEST_ASK, BEST_BID, BID_LEVEL, LEVELS, TRADE, Content, Rows

    instrument = Instrument("WARM/UP", tick="0.1", lot="1")
    kinds: dict[Content, tuple[int, int]] = {
        "trades": (TRADE, TRADE),
        "quotes and trades": (BEST_BID, BEST_ASK),
        "book and trades": (BID_LEVEL, ASK_LEVEL),
    }
    for content, (bid, ask) in kinds.items():
        rows = Rows(
            np.array([bid, ask, TRADE, TRADE], np.int8),
            START_NS + MINUTE_NS * np.arange(4),
            np.array([999, 1001, 1001, 999]),
            np.full(4, 100.0),
            np.array([0, 0, 1, -1], np.int8),
        )
        feed = TickFeed(instrument.symbol, content, rows)
        if feed.shows == LEVELS:
            best_of(feed)
        market = TickMarket(feed, instrument, fills=DEFAULT_FILLS)
        market.run(START_NS + MINUTE_NS)
        now_ns, symbol = market.now_ns, instrument.symbol
        market.submit(OrderIntent("rests", now_ns, "warm_up", symbol, "buy", "limit", 1.0, 99.9), now_ns)
        market.submit(OrderIntent("takes", now_ns, "warm_up", symbol, "buy", "market", 1.0), now_ns)
        while market.run(START_NS + 4 * MINUTE_NS)[1]:
            pass


if __name__ == "__main__":
    run(command)
