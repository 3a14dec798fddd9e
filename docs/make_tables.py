"""Writes what docs/algorithms.md takes from the code: tables of parameters and policies, and the states.

    python docs/make_tables.py

Everything between `<!-- generated: NAME -->` and `<!-- end -->` is replaced; a test compares the page with the code.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from execution.base import RuleExecutor
from execution.iceberg import IcebergExecutor
from execution.params import Common
from execution.plan import Policy
from execution.pov import POVExecutor
from execution.shortfall import ISExecutor
from execution.states import ENDED, MOVES, State
from execution.twap import TWAPExecutor
from execution.vwap import VWAPExecutor

PAGE = Path(__file__).resolve().parent / "algorithms.md"
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text", NoneType: "none"}


def parameters(executor: type[RuleExecutor]) -> str:
    """The parameters of one algorithm without those that all of them share; defaults are those of its executor."""
    kind = executor.params_type
    shared = {field.name for field in fields(Common)}
    redefined = {name for name in kind.__annotations__ if name in shared}
    names = [field.name for field in fields(kind) if field.name not in shared or field.name in redefined]
    own = [name for name in names if name in kind.__annotations__]
    made = {name: one.default for name, one in inspect.signature(executor.__init__).parameters.items()}
    return _table(kind, [*own, *(name for name in names if name not in own)], made)


def shared() -> str:
    """The parameters of every algorithm that are no policies."""
    policies = {field.name for field in fields(Policy)}
    return _table(Common, [field.name for field in fields(Common) if field.name not in policies], {})


def policies() -> str:
    return _table(Policy, [field.name for field in fields(Policy)], {})


def states() -> str:
    """The table of legal moves as a picture."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.PENDING}"]
    for old in State:
        lines += [f"    {old} --> {new}" for new in State if new in MOVES[old]]
    lines += [f"    {state} --> [*]" for state in State if state in ENDED]
    return "\n".join([*lines, "```"])


PARTS: dict[str, Callable[[], str]] = {
    "policies": policies,
    "shared": shared,
    "TWAP": lambda: parameters(TWAPExecutor),
    "VWAP": lambda: parameters(VWAPExecutor),
    "Iceberg": lambda: parameters(IcebergExecutor),
    "POV": lambda: parameters(POVExecutor),
    "IS": lambda: parameters(ISExecutor),
    "states": states,
}


def filled_in(page: str) -> str:
    """The page with every generated part made anew. Raises KeyError for a part that nobody makes."""
    return _PART.sub(lambda found: f"{found[1]}{PARTS[found[2]]()}\n{found[3]}", page)


def meanings(kind: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say of each field; the class itself has the last word."""
    names = {field.name for field in fields(kind)}
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        name = None
        for line in (one.__dict__.get("__doc__") or "").splitlines():
            first, _, rest = line.strip().partition(" ")
            if first in names:
                name, found[first] = first, rest.strip()
            elif not line.strip():
                name = None
            elif name is not None:
                found[name] += f" {line.strip()}"
    return found


def _table(kind: type, names: Iterable[str], made: dict[str, Any]) -> str:
    hints, says = get_type_hints(kind), meanings(kind)
    defaults = {field.name: field.default for field in fields(kind)}
    rows = ["| parameter | value | default | meaning |", "|---|---|---|---|"]
    for name in names:
        default = made.get(name, defaults[name])
        rows.append(f"| `{name}` | {_values(hints[name])} | {_default(default)} | {says[name]} |")
    return "\n".join(rows)


def _values(hint: Any) -> str:
    if hint in _WORDS:
        return _WORDS[hint]
    if get_origin(hint) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_values(one) for one in get_args(hint))
    if get_origin(hint) is tuple:
        return "several numbers"
    raise TypeError(f"the tables have no word for {hint}")


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(f"{one:g}" for one in value)
    return f"`{value}`" if isinstance(value, str) else f"{value:g}"


def main() -> None:
    PAGE.write_text(filled_in(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE.name}")


if __name__ == "__main__":
    main()
