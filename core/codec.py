"""Contracts to and from dictionaries and JSON: exact, in a fixed order, and closed to what they do not know."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import Any, TypeVar, get_type_hints

import msgspec

from core.errors import nearest

T = TypeVar("T")


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder()


@cache
def _fields(kind: Any) -> tuple[frozenset[str], tuple[str, ...]]:
    """The names of all fields, and of those that are plain floats, for which JSON null reads as NaN."""
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    return frozenset(names), tuple(name for name in names if hints[name] is float)


def to_dict(contract: object) -> dict[str, Any]:
    """Every field, nested contracts as dictionaries too, in the order of their definition."""
    out: dict[str, Any] = msgspec.to_builtins(contract)
    return out


def from_dict(kind: type[T], data: dict[str, Any]) -> T:
    """The contract that `to_dict` came from.

    A float field that holds None (JSON knows no NaN) becomes NaN.
    Raises ValueError for an unknown or missing field, a wrong type, or a value that the contract refuses.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{kind.__name__} is made from a dictionary, was {type(data).__name__}")
    known, floats = _fields(kind)  # type: ignore[arg-type]
    if not known.issuperset(data):
        name = next(name for name in data if name not in known)
        raise ValueError(f"{kind.__name__} has no field {name!r}: {nearest(str(name), known)}")
    empty = [name for name in floats if data.get(name, 0.0) is None]
    if empty:
        data = {**data, **dict.fromkeys(empty, math.nan)}
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


@cache
def _readers(kind: Any) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
    """For JSON text: one that only looks whether all fields are known, and one that reads them."""
    fields = [(field.name, msgspec.Raw, msgspec.Raw()) for field in dataclasses.fields(kind)]
    shape = msgspec.defstruct(f"{kind.__name__}Shape", fields, forbid_unknown_fields=True)
    return msgspec.json.Decoder(shape), msgspec.json.Decoder(kind)


def read_json(kind: type[T], line: bytes | str) -> T:
    """`from_dict(kind, from_json(line))`, in half the time: no dictionary is made on the way.

    Raises ValueError as they do.
    """
    shape, reader = _readers(kind)  # type: ignore[arg-type]
    try:
        shape.decode(line)
        contract: T = reader.decode(line)
    except msgspec.DecodeError:
        return from_dict(kind, from_json(line))
    return contract


def to_json(value: object) -> bytes:
    """Compact JSON with sorted keys in mappings; the same value gives the same bytes. NaN becomes null."""
    return _encoder.encode(value)


def from_json(line: bytes | str) -> Any:
    """Raises ValueError where the text is not JSON."""
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
