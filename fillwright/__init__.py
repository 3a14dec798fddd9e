"""Fillwright: an execution layer for algorithmic trading. The command line is `fillwright.cli`."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    # Asked for on demand: reading the installed metadata costs more than the rest of a start.
    if name == "__version__":
        from importlib.metadata import version

        return version("fillwright")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
