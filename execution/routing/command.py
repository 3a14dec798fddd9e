"""`fillwright router`: why a parent was worked as it was, what has been learnt, and forgetting it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.console import console, print_json, run
from core.errors import DataError, nearest

if TYPE_CHECKING:
    from execution.routing.chooser import Chooser
    from execution.routing.decision import Decision, Outcome

_state = click.option(
    "--state", default="var/backtest/router", show_default=True, type=click.Path(path_type=Path),
    help="What the router writes: router/ of a run, or the folder of a run or a trader (var/live).",
)  # fmt: skip
_config = click.option("--execution-config", type=click.Path(path_type=Path), help="[default: config/execution.yaml]")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines instead of a table.")


@click.group("router")
def command() -> None:
    """Why orders were routed as they were, and what the router has learnt."""


@command.command()
@click.argument("execution_id")
@_state
@_json
def explain(execution_id: str, state: Path, as_json: bool) -> None:
    """Why EXECUTION_ID (or its parent's intent id) was worked as it was, and what came of it."""
    decision, outcome = _found(state, execution_id)
    if as_json:
        print_json({"decision": decision.to_dict(), "outcome": None if outcome is None else outcome.to_dict()})
        return
    _show(decision, outcome)


@command.command()
@_state
@_config
@_json
def stats(state: Path, execution_config: Path | None, as_json: bool) -> None:
    """What has been learnt in each context, and what each arm would have cost by the log."""
    chooser = _restored(state, execution_config)
    found = _stats(chooser)
    if as_json:
        print_json(found)
        return
    _show_stats(found)


@command.command()
@_state
@click.option("--reason", required=True, help="Why; it is written down.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(state: Path, reason: str, yes: bool) -> None:
    """Forget what was learnt. The record of decisions stays."""
    from core.clock import WallClock
    from core.journal import Journal
    from core.journal_read import read
    from execution.routing.ledger import RESET, journal_in, read_entries

    entries, folder = read_entries(state), journal_in(state)
    last_ns = max((entry.ts_ns for entry in read(folder)), default=0)  # the journal's time may be that of a tape
    if not yes:
        click.confirm(f"forget what {len(entries)} entries in {state} have taught?", abort=True)
    with Journal(folder) as journal:
        journal.append({"k": RESET, "t": last_ns, "reason": reason, "at_ns": WallClock().now_ns()})
        journal.sync()
    console().print(f"{state}: forgotten; decisions stay on record", markup=False)


def _restored(state: Path, execution_config: Path | None) -> Chooser:
    from core.config import find
    from execution.config import ExecutionConfig, load
    from execution.routing.chooser import Chooser
    from execution.routing.ledger import read_entries

    path = execution_config or find("execution.yaml")
    settings = ExecutionConfig() if path is None else load(path)
    chooser = Chooser(settings, "learn", algorithms=[one.type for one in settings.algorithms])
    chooser.restore(read_entries(state))
    return chooser


def _found(state: Path, name: str) -> tuple[Decision, Outcome | None]:
    from execution.routing.decision import Decision, Outcome
    from execution.routing.ledger import DECIDED, TURNED_OUT, read_entries

    decision, outcome = None, None
    names: list[str] = []
    for entry in read_entries(state):
        if entry["k"] == DECIDED:
            about = entry["decision"]
            names += [about["execution_id"], about["parent_intent_id"]]
            if name in names[-2:]:
                decision = Decision.from_dict(about)
        elif entry["k"] == TURNED_OUT and decision and entry["outcome"]["execution_id"] == decision.execution_id:
            outcome = Outcome.from_dict(entry["outcome"])
    if decision is None:
        raise DataError(f"{state} has no decision on {name!r}: {nearest(name, names)}")
    return decision, outcome


def _show(decision: Decision, outcome: Outcome | None) -> None:
    from rich.table import Table

    from execution.analyze import TABLE_STYLE, bps

    screen = console()
    screen.print(
        f"{decision.execution_id}: {decision.side} {decision.quantity:,g} {decision.symbol}, {decision.notional:,.0f}, "
        f"in {decision.duration_seconds:,} s, at {_moment(decision.ts_ns)}",
        style="bold", markup=False, soft_wrap=True,
    )  # fmt: skip
    chosen = decision.arm or "nothing"
    screen.print(f"worked by {chosen}; {_why(decision)}", markup=False, soft_wrap=True)
    screen.print(f"rule {decision.rule}: {decision.rule_arm}: {decision.reason}", markup=False, soft_wrap=True)
    screen.print(f"context {decision.key}; the horizon's volatility is {bps(decision.risk_bps)} bps", markup=False)
    table = Table(title="bps of the notional, positive is worse; low to high is 95 %", **TABLE_STYLE)
    table.add_column("arm")
    for name in ("forecast", "expected", "low", "high", "orders", "propensity"):
        table.add_column(name, justify="right")
    table.add_column("")
    for one in decision.alternatives:
        mark = "chosen" if one.arm == decision.arm else one.left_out or ""
        figures = (one.forecast_bps, one.expected_bps, one.low_bps, one.high_bps)
        table.add_row(one.arm, *map(bps, figures), f"{one.orders:.1f}", f"{one.propensity:.3f}", mark)
    screen.print(table)
    for line in decision.attempts:
        screen.print(f"failed: {line}", style="yellow", markup=False, soft_wrap=True)
    if outcome is None:
        screen.print("no outcome yet", markup=False)
        return
    learnt = f"not learnt from: {outcome.unused}" if outcome.unused else f"surprise {outcome.surprise:+.3f}"
    screen.print(
        f"cost {bps(outcome.cost_bps)} bps, {bps(outcome.adjusted_bps)} without the market's move; {learnt}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def _why(decision: Decision) -> str:
    words = {
        "wish": "the parent, or whoever runs it, names it",
        "rule": f"the rule {decision.rule} decided, propensity {decision.propensity:.3f}",
        "sample": f"drawn with propensity {decision.propensity:.3f}",
        "best": "the least expected cost; the order is too large to try with",
        "fallback": f"after {decision.drawn} failed",
        "nothing": "no algorithm could work it",
    }
    return words[decision.decided_by]


def _stats(chooser: Chooser) -> dict[str, Any]:
    from execution.routing.offpolicy import value

    now_ns = max((outcome.ts_ns for outcome in chooser.outcomes.values()), default=0)
    contexts = []
    for key, arm in chooser.learner.contexts():
        (known,) = chooser.learner.known(key, [arm], now_ns)
        low, high = known.belief.interval()
        contexts.append(
            {
                "context": key,
                "arm": arm,
                "orders": known.orders,
                "surprise": known.belief.mean,
                "low": low,
                "high": high,
            }
        )
    decisions = list(chooser.decisions.values())
    by: dict[str, int] = {}
    for decision in decisions:
        by[decision.decided_by] = by.get(decision.decided_by, 0) + 1
    arms = sorted({one.arm for decision in decisions for one in decision.alternatives})
    from core.codec import to_dict

    values = [value(arm, decisions, chooser.outcomes) for arm in arms]
    return {
        "decisions": len(decisions),
        "outcomes": len(chooser.outcomes),
        "decided_by": dict(sorted(by.items())),
        "experience": chooser.learner.experience(now_ns),
        "contexts": contexts,
        "off_policy": [to_dict(one) for one in values if one.chosen > 1],
    }


def _show_stats(found: dict[str, Any]) -> None:
    from rich.table import Table

    from execution.analyze import TABLE_STYLE, bps

    screen = console()
    by = ", ".join(f"{word} {count}" for word, count in found["decided_by"].items())
    screen.print(f"{found['decisions']} decisions ({by or 'none'}), {found['outcomes']} outcomes", markup=False)
    table = Table(title="surprise: cost beyond the forecast / volatility of the horizon", **TABLE_STYLE)
    for name in ("context", "arm"):
        table.add_column(name)
    for name in ("orders", "surprise", "low", "high"):
        table.add_column(name, justify="right")
    for row in found["contexts"]:
        figures = (f"{row[name]:+.3f}" for name in ("surprise", "low", "high"))
        table.add_row(row["context"], row["arm"], f"{row['orders']:.1f}", *figures)
    screen.print(table)
    if found["off_policy"]:
        table = Table(title="what an arm alone would have cost, by the log: bps, doubly robust", **TABLE_STYLE)
        table.add_column("arm")
        for name in ("cost", "low", "high", "chosen", "of"):
            table.add_column(name, justify="right")
        for row in found["off_policy"]:
            costs = [bps(row[name]) for name in ("dr", "dr_low", "dr_high")]
            table.add_row(row["arm"], *costs, str(row["chosen"]), str(row["n"]))
        screen.print(table)


def _moment(ts_ns: int) -> str:
    from research.times import iso

    return iso(ts_ns)


if __name__ == "__main__":
    run(command)
