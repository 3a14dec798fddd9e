"""Strategies by name. Modules are imported when they are asked for; asking for the names costs nothing."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import ConfigError, FillwrightError, nearest

if TYPE_CHECKING:
    from strategies.base import AnyStrategy, Strategy, TickStrategy

    Class = type[Strategy[Any]] | type[TickStrategy[Any]]
    S = TypeVar("S", bound=Class)

_SHIPPED = {
    "rsi_tema_bb_v1": "strategies.rsi_tema_bb_v1:RsiTemaBbV1",
    "trendline_break_v1": "strategies.trendline_break_v1:TrendlineBreakV1",
}
_registered: dict[str, Class] = {}


@dataclasses.dataclass(frozen=True)
class _File:
    strategies: dict[str, dict[str, Any]]


def known() -> tuple[str, ...]:
    """The ids that `find` knows, in alphabetical order."""
    return tuple(sorted({*_SHIPPED, *_registered}))


def register(cls: S) -> S:
    """Make a strategy known under its `strategy_id`; also as a decorator. The same class again is no harm.

    Raises FillwrightError where the class is not a complete strategy, or the id belongs to another class.
    """
    _check(cls)
    name = cls.strategy_id
    owner = _SHIPPED.get(name) or (_path(_registered[name]) if name in _registered else None)
    if owner not in (None, _path(cls)):
        raise FillwrightError(f"strategy_id {name!r} of {_path(cls)} belongs to {owner}: choose another one")
    if name not in _SHIPPED:
        _registered[name] = cls
    return cls


def find(name: str) -> Class:
    """The class behind an id, or behind an import string `package.module:ClassName`.

    Import strings are looked up on the import path and in the working directory.
    Raises FillwrightError for an unknown id, with the nearest and all known ones, and for what cannot be imported.
    """
    if ":" in name:
        return register(_imported(name))
    if name in _registered:
        return _registered[name]
    if name in _SHIPPED:
        return _imported(_SHIPPED[name])
    raise FillwrightError(
        f"unknown strategy {name!r}: {nearest(name, known())}; your own: --strategy package.module:ClassName"
    )


def make(
    strategy_id: str,
    symbol: str,
    overrides: Mapping[str, Any] | None = None,
    config_path: Path | str | None = None,
    seed: int = 0,
) -> Strategy[Any]:
    """A fresh strategy of bars for a symbol.

    strategy_id: an id or an import string, as for `find`.
    overrides: parameters by name; they win over the file, which wins over the defaults of the class.
    config_path: a YAML file with parameters under `strategies: {id: {...}}`. A strategy that is not in it, or no file,
        has its defaults.

    Raises: FillwrightError (ConfigError where a parameter or the file is at fault, or it is a strategy of trades).
    """
    from strategies.base import Strategy

    made = make_any(strategy_id, symbol, overrides, config_path, seed)
    if not isinstance(made, Strategy):
        raise ConfigError(f"strategy {strategy_id} hears trades: `fillwright backtest --fills trades` runs it")
    return made


def make_any(
    strategy_id: str,
    symbol: str,
    overrides: Mapping[str, Any] | None = None,
    config_path: Path | str | None = None,
    seed: int = 0,
) -> AnyStrategy:
    """As `make`, also a strategy that hears every trade."""
    from core import config

    cls = find(strategy_id)
    given = {} if config_path is None else _section(config_path, cls.strategy_id)
    place = f"{config_path}: strategies.{cls.strategy_id}"
    params = config.parse(given, cls.params_type, source=place)
    if overrides:
        changed = {**given, **overrides}
        params = config.parse(changed, cls.params_type, source=f"parameters of {cls.strategy_id}")
    return cls(symbol, params, seed=seed)


def _section(path: Path | str, name: str) -> dict[str, Any]:
    from core import config

    sections = config.load(path, _File).strategies
    if name in sections:
        return dict(sections[name])
    # Sections of strategies that are not imported now are no mistake; one that nearly has this one's name is.
    slip = get_close_matches(name, [other for other in sections if other not in known()], n=1, cutoff=0.8)
    if slip:
        raise ConfigError(f"{path}: strategies.{slip[0]}: unknown strategy: did you mean {name!r}?")
    return {}


def _imported(path: str) -> Class:
    module_name, _, attribute = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # the console script does not look there by itself; last, so that nothing is shadowed
    try:
        module = import_module(module_name)
    except (ImportError, SyntaxError, ValueError, TypeError) as error:
        raise FillwrightError(f"strategy {path!r}: cannot import {module_name!r}: {error}") from error
    found = getattr(module, attribute, None)
    if found is None:
        classes = [word for word, value in vars(module).items() if isinstance(value, type)]
        raise FillwrightError(f"strategy {path!r}: {module_name} has no {attribute!r}: {nearest(attribute, classes)}")
    _check(found)
    cls: Class = found
    return cls


def _check(cls: object) -> None:
    from strategies.base import Strategy, TickStrategy

    if not (isinstance(cls, type) and issubclass(cls, (Strategy, TickStrategy))):
        raise FillwrightError(
            f"{cls!r} is not a strategy: it must be a subclass of strategies.base.Strategy or TickStrategy"
        )
    where = _path(cls)
    missing = sorted(cls.__abstractmethods__)
    if missing:
        raise FillwrightError(f"{where} is not complete: it must define {', '.join(missing)}")
    name = getattr(cls, "strategy_id", None)
    if not (isinstance(name, str) and name.isidentifier()):
        raise FillwrightError(f"{where}: strategy_id must be letters, digits and underscores, was {name!r}")
    params = getattr(cls, "params_type", None)
    if not getattr(getattr(params, "__dataclass_params__", None), "frozen", False):
        raise FillwrightError(f"{where}: params_type must be a frozen dataclass, was {params!r}")


def _path(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"
