"""What a run's executions cost, for people: an HTML report that opens offline, frames and plotly figures.

from execution.report import open_run
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from execution.report.run import Run, open_run

__all__ = ["Run", "open_run"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: a command that only wants a module of this package starts without numpy."""
    if name in __all__:
        from execution.report import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
