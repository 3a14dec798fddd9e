"""YAML without its surprises, and every refusal with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError
from core.yaml_text import read, read_text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("on", "on"),
        ("no", "no"),
        ("true", True),
        ("False", False),
        ("1e5", 100_000.0),
        ("-1.5E-3", -0.0015),
        (".5", 0.5),
        ("5.", 5.0),
        ("1_000", 1000),
        ("1_000.5", 1000.5),
        ("-7", -7),
        ("0x1F", 31),
        ("010", "010"),
        ("08", "08"),
        ("12:30", "12:30"),
        ("2025-01-01", "2025-01-01"),
        ("1.2.3", "1.2.3"),
        ("~", None),
        ("", None),
        ("null", None),
        (".inf", float("inf")),
        ("'1'", "1"),
        ("ATOM/USDT", "ATOM/USDT"),
    ],
)
def test_a_simple_word_means_what_it_says(text: str, meant: object) -> None:
    said = read_text(f"key: {text}", "x.yaml").data["key"]
    assert said == meant
    assert type(said) is type(meant)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "x.yaml: line 3, column 1: 'a' stands twice"),
        ("a:\n  b: 1\n  b: 1", "x.yaml: line 3, column 3: 'b' stands twice"),
        ("a: [1,\nb: 2", "x.yaml: line 2, column 5: expected ',' or ']'"),
        ("a: b: c", "x.yaml: line 1, column 5: mapping values are not allowed here"),
        ("a:\n\t- b", "x.yaml: line 2, column 1: .*indent with blanks, not with tabs"),
        ("a: 1\n---\nb: 2", "x.yaml: line 2, column 1: expected a single document in the stream, but found another"),
        ("? [1, 2]\n: 3", "x.yaml: line 1, column 3: a key must be a plain word"),
        ("a: !!python/object:os.system x", "x.yaml: line 1, column 4: could not determine a constructor"),
        ("a: \x01", "x.yaml: not YAML: unacceptable character"),
        ("[" * 5000, "x.yaml: nested too deeply"),
    ],
)
def test_what_is_not_clear_yaml_is_refused_in_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")) as refused:
        read_text(text, "x.yaml")
    assert len(str(refused.value).splitlines()) == 1


def test_a_merged_default_may_be_overridden() -> None:
    data = read_text("base: &base {a: 1, b: 2}\nmine:\n  <<: *base\n  b: 3", "x.yaml").data
    assert data["mine"] == {"a": 1, "b": 3}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_a_file_without_settings_has_none(text: str) -> None:
    assert read_text(text, "x.yaml").data is None


def test_the_line_of_a_setting_or_of_what_is_around_it() -> None:
    document = read_text("a:\n  - b: 1\n    c: 2\n  - b: 3\nd: 4\n", "x.yaml")
    assert document.line_of(("a", 0, "c")) == 3
    assert document.line_of(("a", 1, "b")) == 4
    assert document.line_of(("a", 1, "missing")) == 4
    assert document.line_of(("a", 7)) == 2
    assert document.line_of(("d",)) == 5
    assert document.line_of(("d", "deeper")) == 5
    assert read_text("", "x.yaml").line_of(("a",)) is None


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        read(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.yaml: not UTF-8 text \(byte 3\)"):
        read(binary)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_one_line(tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("a: 1")
    secret.chmod(0)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        read(secret)


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "windows.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read(file).data == {"a": 1, "b": 2}


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    refusal = "x.yaml: none"
    try:
        read_text(text, "x.yaml")
    except ConfigError as error:
        refusal = str(error)
    assert refusal.startswith("x.yaml: ")
    assert len(refusal.splitlines()) == 1
