"""YAML files as plain data, without YAML's surprises, and with the line of every setting.

PyYAML's safe loader reads YAML 1.1: `on` and `no` are booleans, `1e5` is text, `12:30` is 750, `010` is 8, a date is
not text. Here the simple words follow YAML 1.2: only `true` and `false` are booleans, `1e5` is a number, `1_000` is
1000, and everything else is the text that stands there. A key that stands twice is refused.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from core.errors import ConfigError

Route = tuple[str | int, ...]  # keys and list positions from the top of a file to a setting


class Document(NamedTuple):
    """What a file says, and the parsed nodes that know where it says so."""

    data: Any
    root: yaml.Node | None

    def line_of(self, route: Route) -> int | None:
        """The line, from 1, of the setting at this route, or of the nearest thing around it that is in the file."""
        node = self.root
        for step in route:
            inner = None if node is None else _step_into(node, step)
            if inner is None:
                break
            node = inner
        return None if node is None else node.start_mark.line + 1


def read(path: Path | str) -> Document:
    """Read one YAML document.

    Raises ConfigError, one line with line and column, where the file cannot be read or is not one YAML document.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; start in the folder that holds it, or name another") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from error
    return read_text(text, str(path))


def read_text(text: str, source: str) -> Document:
    """As `read`, from text; `source` names it in errors."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        data = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{source}: {_place(error)}{_reason(error)}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(f"{source}: nested too deeply") from error
    return Document(data, root)


def _step_into(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: yaml.Node = node.value[step]
        return found
    return None


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


def _reason(error: yaml.MarkedYAMLError) -> str:
    reason = error.problem or error.context or "not YAML"
    if reason.startswith("but "):
        reason = f"{error.context}, {reason}"
    return f"{reason}; indent with blanks, not with tabs" if "'\\t'" in reason else reason


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2's simple words, and no key twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands twice", problem_mark=key.start_mark)
            if key.tag != "tag:yaml.org,2002:merge":
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _word(tag: str, pattern: str, first: list[str]) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)


_word("null", "~|null|Null|NULL|", ["~", "n", "N", ""])
_word("bool", "true|True|TRUE|false|False|FALSE", list("tTfF"))
_word("int", "[-+]?(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F]+", list("-+0123456789"))
_word("float", r"[-+]?(?:[0-9][0-9_]*\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789"))
_word("float", r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+", list("-+0123456789"))
_word("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+."))
_word("merge", "<<", ["<"])
