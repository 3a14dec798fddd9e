"""The tables of docs/performance.md, from what the rounds measured: medians [least to most], ratios within a round.

Seconds are the processor's, so that other work on the machine does not count; every run is one thread's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

Results = dict[str, Any]
Rounds = list[dict[str, Any] | None]
NOTHING = ""
RUN, WHOLE = "run_cpu_s", "cpu_s"


def bars(results: Results) -> str:
    """The TWAP study on bars."""
    work = results["works"].get("bars")
    if work is None:
        return not_measured("nautilus")
    rows = []
    for name, rounds in work.items():
        engine, _, parents = name.partition(" / ")
        idle = work.get(engine, work["nautilus_trader"]) if parents else []
        theirs = work.get(f"nautilus_trader / {parents}") if parents else work["nautilus_trader"]
        purged = work.get(f"nautilus_trader, purged / {parents}")
        ours = engine.startswith("fillwright")
        rows.append((
            engine,
            parents or "0",
            spread(seconds(rounds, RUN)),
            each(rounds, idle, child_us),
            ratio(theirs, rounds) if ours else NOTHING,
            ratio(purged, rounds) if ours and purged else NOTHING,
            spread(seconds(rounds, "read_cpu_s")) if parents else NOTHING,
        ))  # fmt: skip
    rows.sort(key=lambda row: (int(row[1]), row[0].startswith("fillwright"), row[0]))
    head = ("engine", "parents", "run, s", "us a child", "nautilus / this", "purged / this", "reports read, s")
    return table(head, rows)


def trades(results: Results) -> str:
    """The TWAP study on trades with a Python handler."""
    work = results["works"].get("trades")
    if work is None:
        return not_measured("nautilus")
    rows = []
    for name, rounds in work.items():
        engine, _, parents = name.partition(" / ")
        theirs = work[f"nautilus_trader / {parents}" if parents else "nautilus_trader"]
        rate = [told["events"] / told[RUN] / 1e6 for told in rounds if told]
        ours = engine.startswith("fillwright")
        rows.append((
            engine, parents or "0", spread(seconds(rounds, RUN)), spread(rate),
            ratio(theirs, rounds) if ours else NOTHING,
        ))  # fmt: skip
    return table(("engine", "parents", "run, s", "million trades a second", "nautilus / this"), rows)


def prices(results: Results) -> str:
    """The children of both engines, one by one."""
    if not results["prices"]:
        return not_measured("nautilus")
    rows = [
        (
            on, f"{one['children']:.0f}", f"{one['time_ms']:.0f}", f"{one['qty']:.2g}", f"{one['price']:.2g}",
            f"{one['theirs']:.4f}", f"{one['ours']:.4f}", f"{one['mean_price']:.2g}",
        )
        for on, one in results["prices"].items()
    ]  # fmt: skip
    head = ("on", "children", "time, ms", "quantity", "price", "mean price: nautilus", "ours", "apart")
    return table(head, rows)


def breakout(results: Results) -> str:
    """The breakout: again in a process that has run it before, and a whole process up to its first result."""
    work = results["works"].get("breakout")
    if work is None:
        return not_measured("vectorbt,backtesting")
    rows = []
    for name in ("vectorbt", "backtesting.py", "fillwright", "fillwright, bare", "fillwright, TWAP"):
        again, once = work.get(name), work.get(f"{name}, once")
        told = again or once
        if told is None:
            continue
        last = told[-1]
        fresh = seconds(once, WHOLE) if once else []
        ours = name.startswith("fillwright")
        rows.append((
            name,
            spread(seconds(again or once or [], RUN)),
            spread(fresh) if fresh else NOTHING,
            f"{last['trades']}",
            f"{last['end']:.2f}",
            ratio(work.get("vectorbt"), again) if ours and again else NOTHING,
            ratio(work.get("vectorbt, once"), once, WHOLE) if ours and once else NOTHING,
            ratio(work.get("backtesting.py, once"), once, WHOLE) if ours and once else NOTHING,
        ))  # fmt: skip
    head = ("engine", "run, s", "fresh process, s", "trades", "final value", "vectorbt / this", "its process / this",
            "backtesting.py's / this")  # fmt: skip
    return table(head, rows)


def book(results: Results) -> str:
    """The replay of the book."""
    work = results["works"].get("book")
    if work is None:
        return not_measured("hftbacktest")
    faster = work.get("hftbacktest, ROIVector")
    rows = []
    for name in ("hftbacktest, HashMap", "hftbacktest, ROIVector", "fillwright", "fillwright, prepared"):
        rounds = work.get(name)
        if rounds is None:
            continue
        engine = name.partition(",")[0]
        last = rounds[-1]
        rate = [told["events"] / told[RUN] / 1e6 for told in rounds if told]
        ours = engine == "fillwright"
        once = work.get(f"{engine}, once") if name in ("hftbacktest, ROIVector", "fillwright") else None
        prepare = seconds(rounds, "prepare_s")
        rows.append((
            name,
            spread(seconds(rounds, RUN)),
            spread(rate),
            f"{last['orders']} / {last['position']:g} / {last['balance']:.3f} / {last['fee']:.4f}",
            ratio(work.get("hftbacktest, HashMap"), rounds) if ours else NOTHING,
            ratio(faster, rounds) if ours else NOTHING,
            spread(seconds(once, WHOLE)) if once else f"prepared in {spread(prepare)}" if prepare else NOTHING,
            ratio(work.get("hftbacktest, once"), once, WHOLE) if ours and once else NOTHING,
        ))  # fmt: skip
    head = ("engine", "run, s", "million rows a second", "orders / position / balance / fees", "HashMap / this",
            "ROIVector / this", "fresh process, s", "its process / this")  # fmt: skip
    return table(head, rows)


def versions(results: Results) -> str:
    """What ran, and on what."""
    machine = results["machine"]
    found = {
        name.partition(",")[0].partition(" / ")[0]: told["version"]
        for work in results["works"].values()
        for name, rounds in work.items()
        for told in rounds
        if told and "version" in told
    }
    peers = ", ".join(f"{name} {number}" for name, number in sorted(found.items()))
    own = ", ".join(f"{name} {number}" for name, number in machine["fillwright"].items())
    lengths = {name: max(len(rounds) for rounds in work.values()) for name, work in results["works"].items()}
    rounds = ", ".join(f"{name} {count}" for name, count in lengths.items())
    return (
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}. Peers: {peers}. Ours: {own}.\n"
        f"Rounds: {rounds}. Of their wall time, runs of half a second and more had the processor for "
        f"{processor_share(results)}; the load of the machine was {machine['load']:g} when they began."
    )


TABLES: dict[str, Callable[[Results], str]] = {
    "versions": versions,
    "bars": bars,
    "prices": prices,
    "trades": trades,
    "breakout": breakout,
    "book": book,
}


def processor_share(results: Results) -> str:
    """How much of the wall time of the longer runs was theirs; far below 100 % the machine had other work."""
    runs = [told for work in results["works"].values() for rounds in work.values() for told in rounds if told]
    shares = [100 * told["run_cpu_s"] / told["run_s"] for told in runs if told.get("run_s", 0.0) >= 0.5]
    return f"{spread(shares)} %" if shares else "an unknown part"


def seconds(rounds: Rounds, key: str) -> list[float]:
    return [told[key] for told in rounds if told and key in told]


def child_us(told: dict[str, Any], idle: dict[str, Any]) -> float:
    """What a child costs: the run without parents, of the same round, taken away."""
    return 1e6 * float(told[RUN] - idle[RUN]) / int(told["children"])


def ratio(theirs: Rounds | None, ours: Rounds | None, key: str = RUN) -> str:
    """Their time over ours, round by round."""
    return each(theirs or [], ours or [], lambda one, other: one[key] / other[key])


def each(rounds: Rounds, others: Rounds, what: Callable[[dict[str, Any], dict[str, Any]], float]) -> str:
    """A figure of the rounds in which both ran; nothing where there is none."""
    return spread([what(one, other) for one, other in zip(rounds, others, strict=False) if one and other])


def spread(values: Sequence[float]) -> str:
    """Median, and least to most where there are several."""
    if not values:
        return NOTHING
    middle = number(median(values))
    return middle if len(values) == 1 else f"{middle} [{number(min(values))} to {number(max(values))}]"


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def not_measured(only: str) -> str:
    return f"Not measured yet: `python -m benchmarks.peers --only {only}`."


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
