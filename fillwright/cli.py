"""The `fillwright` command: a table of verbs, each imported only when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from core.console import run
from core.errors import nearest


class Verb(NamedTuple):
    """Where a verb's click command lives, and the line that `fillwright --help` shows without importing it."""

    target: str
    help: str


VERBS = {
    "backtest": Verb("backtest.runner:command", "Run a strategy over bars and execute what it wants."),
    "data": Verb("research.cli:data", "Import, make, download, list and check market data."),
    "plan": Verb("execution.pretrade.command:command", "What an order will cost, before it is sent."),
    "analyze": Verb("execution.analyze:command", "What the executions of a run cost."),
    "report": Verb("execution.report.command:command", "The same as HTML pages that open offline, and as files."),
    "import-fills": Verb("execution.foreign.command:command", "Orders and fills traded elsewhere, into executions."),
    "preview": Verb("execution.preview_command:command", "The children a parent order would get, before it is sent."),
    "compare": Verb("execution.compare:command", "Execution algorithms side by side."),
    "sweep": Verb("backtest.sweep.command:command", "Many settings at once, and what chance makes of the best."),
    "router": Verb("execution.routing.command:command", "Why orders were routed as they were, and what was learnt."),
    "calibrate": Verb("execution.calibrate:command", "What size costs, from executions or from public trades."),
    "trade": Verb("live.command:command", "Trade on paper: a service that survives being killed."),
    "order": Verb("live.order_command:order", "Send, list, change and end a running trader's orders."),
    "replay": Verb("live.replay_command:command", "What became of every parent, from a trader's journal alone."),
    "kill": Verb("risk.kill_command:kill", "Stop all trading at once, and allow it again."),
    "serve": Verb("live.serve:serve", "One process of a split trader: risk, broker or router."),
    "verify": Verb("core.journal_command:command", "Whether a trader's journal is whole."),
}


class LazyGroup(click.Group):
    """A click group over a table of verbs."""

    def __init__(self, *, verbs: dict[str, Verb], **settings: Any) -> None:
        super().__init__(**settings)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        if cmd_name not in self.verbs:
            return None
        module, _, attribute = self.verbs[cmd_name].target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.verbs and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"no such command {args[0]!r}: {nearest(args[0], self.verbs)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in self.verbs.items()])


fillwright = LazyGroup(
    name="fillwright",
    verbs=VERBS,
    help="""Work orders with TWAP, VWAP, Iceberg, POV and IS, through a risk gate, and know what they cost.

    Every command takes --help and --debug; an error is one line, its exit code 1, or 2 for wrong usage.""",
    context_settings={"help_option_names": ["-h", "--help"]},
)
click.version_option(package_name="fillwright", message="fillwright %(version)s")(fillwright)


def main() -> NoReturn:
    """The console script."""
    run(fillwright)
