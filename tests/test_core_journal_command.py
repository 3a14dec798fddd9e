"""`fillwright verify`: what it prints of sound, torn and damaged journals, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core.journal import Journal
from core.journal_command import command

FIRST = "00000000000000000001.ndjson"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    with Journal(tmp_path / "journal") as writer:
        for n in range(5):
            writer.append({"k": ("start", "heard")[n > 0], "t": 1_700_000_000_000_000_000 + n})
            writer.sync()
    return tmp_path / "journal"


def verify(*words: str | Path) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words], env={"COLUMNS": "120"}, standalone_mode=False)


def test_a_sound_journal(journal: Path) -> None:
    done = verify(journal)
    assert done.return_value == 0
    assert "5 in 1 segment" in done.output
    assert "heard 4, start 1" in done.output
    assert "2023-11-14 22:13:20.000000000 to 2023-11-14 22:13:20.000000004" in done.output


def test_json_is_all_that_json_prints(journal: Path) -> None:
    facts = json.loads(verify(journal, "--json").output)
    assert (facts["sound"], facts["entries"], facts["first"], facts["last"]) == (True, 5, 1, 5)
    assert facts["kinds"] == {"heard": 4, "start": 1}


def test_a_torn_end_is_shown(journal: Path) -> None:
    path = journal / FIRST
    path.write_bytes(path.read_bytes()[:-3])
    done = verify(journal)
    assert done.return_value == 1
    assert "torn: 00000000000000000001.ndjson at byte" in done.output
    assert "it has no end" in done.output
    facts = json.loads(verify(journal, "--json").output)
    assert (facts["sound"], facts["entries"], len(facts["torn"]), facts["bad"]) == (False, 4, 1, [])


def test_bad_lines_are_listed_and_the_exit_code_is_one(journal: Path) -> None:
    path = journal / FIRST
    path.write_bytes(path.read_bytes().replace(b'"heard"', b'"heart"', 1))
    done = verify(journal)
    assert done.return_value == 1
    assert "bad: 00000000000000000001.ndjson at byte" in done.output
    assert "it does not agree with its checksum" in done.output
    assert "No trader starts on this journal" in done.output


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    assert "is no journal" in str(verify(tmp_path).exception)
