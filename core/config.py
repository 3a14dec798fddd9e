"""Settings: YAML or plain data into frozen dataclasses, strictly, and with one line for whatever cannot be meant.

A settings class is an ordinary frozen dataclass; its annotations are the schema, its `__post_init__` checks ranges:

    @dataclass(frozen=True, kw_only=True)
    class Twap:
        type: Literal["TWAP"] = "TWAP"
        slices: int = 10

        def __post_init__(self) -> None:
            checks.between("slices", self.slices, 1, 10_000)

    settings = load("config/execution.yaml", Settings)
    # config/execution.yaml: algorithms[2].slices: must be between 1 and 10000, was 0 (line 14)

Understood: bool, int, float, str, Literal, X | None, list[X], tuple[X, ...], dict[str, X], dataclasses, and unions. A
union of dataclasses is told apart by its key `type`, a field with a Literal in each of them. An int does for a float,
nothing else is converted, except number text ("1e5") for a float and on, off, yes, no for a bool.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from core import codec, yaml_text
from core.errors import ConfigError, nearest
from core.frozen import FrozenDict
from core.yaml_text import Route

T = TypeVar("T")

_SWITCHES = {"on": True, "yes": True, "off": False, "no": False}


def load(path: Path | str, cls: type[T]) -> T:
    """The settings in a YAML file. Raises ConfigError: one line with the file, the path in it, and the line."""
    document = yaml_text.read(path)
    if document.data is None:
        raise ConfigError(f"{path}: is empty; expected {_wanted(cls)}")
    return _resolve(document.data, cls, str(path), document.line_of)


def parse(data: object, cls: type[T], *, source: str = "settings") -> T:
    """The settings in plain data; `source` stands where `load` has the file."""
    return _resolve(data, cls, source, lambda _route: None)


def find(name: str) -> Path | None:
    """`config/<name>` of the working directory, else the one that came with the installation, else None."""
    installed = Path(__file__).resolve().parent.parent  # the repository, or site-packages beside the package `core`
    places = (Path("config"), installed / "fillwright" / "config", installed / "config")
    return next((place / name for place in places if (place / name).is_file()), None)


def config_hash(settings: object) -> str:
    """16 hexadecimal digits that change when a resolved setting changes, and with nothing else.

    Raises TypeError for what has no JSON form.
    """
    return hashlib.blake2b(codec.to_json(settings), digest_size=8).hexdigest()


class _SettingError(Exception):
    """A setting that cannot be meant: where, and why."""

    def __init__(self, route: Route, why: str) -> None:
        super().__init__(why)
        self.route = route
        self.why = why


def _resolve(data: object, cls: type[T], source: str, line_of: Callable[[Route], int | None]) -> T:
    try:
        settings: T = _build(cls, data, ())
    except _SettingError as problem:
        line = line_of(problem.route)
        where = f"{_path(problem.route)}: " if problem.route else ""
        suffix = f" (line {line})" if line else ""
        raise ConfigError(" ".join(f"{source}: {where}{problem.why}{suffix}".split())) from problem
    return settings


def _path(route: Route) -> str:
    text = ""
    for step in route:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _build(hint: Any, value: object, route: Route) -> Any:
    """The value as the annotation wants it. Raises _SettingError."""
    if dataclasses.is_dataclass(hint):
        return _build_dataclass(hint, value, route)
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _build_union(args, value, route)
    if origin in (list, tuple):
        return _build_sequence(origin, args, value, route)
    if origin is dict:
        return _build_mapping(args[1], value, route)
    if origin is Literal and (type(value), value) in [(type(word), word) for word in args]:
        return value
    if origin is Literal and isinstance(value, str):
        raise _SettingError(route, f"must be {_wanted(hint)}, was {_shown(value)}: {nearest(value, map(str, args))}")
    return value if hint is Any else _build_scalar(hint, value, route)


def _build_scalar(hint: Any, value: object, route: Route) -> Any:
    if hint is float:
        number = _number(value)
        if number is not None and math.isfinite(number):
            return number
    elif hint is bool and isinstance(value, str) and value.lower() in _SWITCHES:
        return _SWITCHES[value.lower()]
    elif type(value) is hint:
        return value
    remedy = "; put it in quotes" if hint is str and value is not None and not isinstance(value, dict | list) else ""
    raise _SettingError(route, f"must be {_wanted(hint)}, was {_shown(value)}{remedy}")


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):  # not a number, or an integer beyond the largest float
        return None


def _build_sequence(origin: type, args: tuple[Any, ...], value: object, route: Route) -> Any:
    items = [] if value is None else value  # a heading whose entries are all commented out
    if not isinstance(items, list | tuple):
        raise _SettingError(route, f"must be a list, was {_shown(value)}")
    if origin is tuple and args[-1:] != (...,):
        if len(items) != len(args):
            raise _SettingError(route, f"must be a list of {len(args)}, was {_shown(value)}")
        return tuple(_build(hint, item, (*route, k)) for k, (hint, item) in enumerate(zip(args, items, strict=True)))
    return origin(_build(args[0], item, (*route, k)) for k, item in enumerate(items))


def _build_mapping(hint: Any, value: object, route: Route) -> FrozenDict:
    return FrozenDict({key: _build(hint, item, (*route, key)) for key, item in _mapping(value, route).items()})


def _mapping(value: object, route: Route) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _SettingError(route, f"must be a mapping of names to values, was {_shown(value)}")
    for key in value:
        if not isinstance(key, str):
            raise _SettingError(route, f"a key must be text, was {_shown(key)}; put it in quotes")
    return value


def _build_union(options: tuple[Any, ...], value: object, route: Route) -> Any:
    if value is None and NoneType in options:
        return None
    options = tuple(option for option in options if option is not NoneType)
    if len(options) > 1 and all(dataclasses.is_dataclass(option) for option in options):
        return _build(_told_by_type(options, value, route), value, route)
    if len(options) == 1:
        return _build(options[0], value, route)
    for option in options:
        try:
            return _build(option, value, route)
        except _SettingError:
            continue
    raise _SettingError(route, f"must be {' or '.join(map(_wanted, options))}, was {_shown(value)}")


def _told_by_type(options: tuple[Any, ...], value: object, route: Route) -> Any:
    """The dataclass whose field `type` has the word that stands under `type`."""
    by_word = {word: option for option in options for word in get_args(_schema(option)["type"].hint)}
    mapping = _mapping(value, route)
    if "type" not in mapping:
        raise _SettingError(route, f"needs a type; {nearest('', by_word)}")
    word = mapping["type"]
    if not isinstance(word, str) or word not in by_word:
        raise _SettingError((*route, "type"), f"unknown type {_shown(word)}: {nearest(str(word), by_word)}")
    return by_word[word]


@dataclasses.dataclass(frozen=True, slots=True)
class _Setting:
    hint: Any
    required: bool


@cache
def _schema(cls: type) -> dict[str, _Setting]:
    """What may stand under a dataclass, by name."""
    hints = get_type_hints(cls)
    missing = dataclasses.MISSING
    return {
        field.name: _Setting(hints[field.name], field.default is missing and field.default_factory is missing)
        for field in dataclasses.fields(cls)
        if field.init
    }


def _build_dataclass(cls: Any, value: object, route: Route) -> Any:
    schema = _schema(cls)
    given = _mapping(value, route)
    for name in given:
        if name not in schema:
            raise _SettingError((*route, name), f"unknown setting: {nearest(name, schema)}")
    for name, setting in schema.items():
        if setting.required and name not in given:
            raise _SettingError((*route, name), f"is missing; it must be {_wanted(setting.hint)}")
    settings = {name: _build(schema[name].hint, item, (*route, name)) for name, item in given.items()}
    try:
        return cls(**settings)
    except ValueError as error:
        # The class speaks of its own fields ("slices must be ..."): the field's name becomes part of the path.
        name, _, rest = str(error).partition(" ")
        if name in schema:
            raise _SettingError((*route, name), rest) from error
        raise _SettingError(route, str(error)) from error


def _wanted(hint: Any) -> str:
    """An annotation in words."""
    words = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text"}
    if hint in words:
        return words[hint]
    if dataclasses.is_dataclass(hint):
        return f"a mapping with {', '.join(_schema(hint))}"  # type: ignore[arg-type]  # a class, in an annotation
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_wanted(option) for option in args if option is not NoneType)
    if origin is Literal:
        return f"one of {', '.join(map(str, args))}" if len(args) > 1 else str(args[0])
    return "a list" if origin in (list, tuple) else "a mapping"


def _shown(value: object) -> str:
    """A value as it may stand in one line."""
    if value is None:
        return "empty"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
