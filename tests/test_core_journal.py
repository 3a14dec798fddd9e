"""The journal: numbers without gaps, torn ends cut, damage found and refused, on failing disks and on a real one."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import FillEvent
from core.disk_simulated import Crashed, SimulatedDisk
from core.errors import DataError
from core.journal import Fsync, Journal, JournalError
from core.journal_lines import body_of, line_of
from core.journal_read import read, survey

FOLDER = Path("journal")
FIRST = "00000000000000000001.ndjson"


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {"k": "heard", "t": 1000 + number, "what": f"é{number}", **more}


def written(
    folder: Path, count: int, *, disk: Any = None, fsync: Fsync = "always", segment_bytes: int = 1 << 20
) -> None:
    with Journal(folder, fsync=fsync, disk=disk, segment_bytes=segment_bytes) as journal:
        for _ in range(count):
            journal.append(entry(journal.last + 1))


def entries(folder: Path, disk: Any = None, **how: Any) -> list[dict[str, Any]]:
    return [one.data for one in read(folder, disk=disk, **how)]


# ---------------------------------------------------------------- what is written


def test_entries_come_back_as_they_were_with_numbers_from_one(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        numbers = [journal.append(entry(n)) for n in range(1, 6)]
        assert (numbers, journal.last, journal.unsynced) == ([1, 2, 3, 4, 5], 5, 5)
        journal.sync()
        assert journal.unsynced == 0
    with Journal(tmp_path / "j") as journal:
        assert journal.append(entry(6)) == 6
    found = list(read(tmp_path / "j"))
    assert [one.number for one in found] == [1, 2, 3, 4, 5, 6]
    assert [one.data for one in found] == [entry(n) for n in range(1, 7)]
    assert [(one.kind, one.ts_ns) for one in found] == [("heard", 1000 + n) for n in range(1, 7)]
    data = (tmp_path / "j" / FIRST).read_bytes()
    for one in found:
        assert json.loads(data[one.offset :].split(b"\n")[0])["e"]["n"] == one.number


def test_the_same_entries_give_the_same_bytes(tmp_path: Path) -> None:
    written(tmp_path / "a", 20)
    written(tmp_path / "b", 20)
    assert (tmp_path / "a" / FIRST).read_bytes() == (tmp_path / "b" / FIRST).read_bytes()


def test_a_line_is_its_checksum_and_its_entry() -> None:
    assert line_of(b'{"n":1}') == b'{"c":3561700222,"e":{"n":1}}\n'  # zlib.crc32
    assert body_of(b'{"c":3561700222,"e":{"n":1}}') == b'{"n":1}'
    for wrong in (
        b"",
        b"{}",
        b'{"c":03561700222,"e":{"n":1}}',
        b'{"c": 3561700222,"e":{"n":1}}',
        b'{"c":1,"e":{"n":1}}',
    ):
        assert body_of(wrong) is None


@pytest.mark.parametrize(
    "wrong",
    [{}, {"k": "a"}, {"t": 1}, {"k": 1, "t": 1}, {"k": "a", "t": 1.0}, {"k": "a", "t": True},
     {"k": "a", "t": 1, "n": 1}, {"k": "a", "t": 1, "b": 1}],
)  # fmt: skip
def test_an_entry_has_a_kind_and_a_time_and_leaves_the_numbers_to_the_journal(wrong: dict[str, Any]) -> None:
    with Journal(FOLDER, disk=SimulatedDisk()) as journal:
        with pytest.raises(ValueError, match="an entry has a word k, nanoseconds t, and neither n nor b"):
            journal.append(wrong)
        with pytest.raises(TypeError, match="an entry of kind a must be JSON"):
            journal.append({"k": "a", "t": 1, "x": object()})
        assert journal.append(entry(1)) == 1


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="fsync is 'allways': did you mean 'always'"):
        Journal(FOLDER, fsync="allways", disk=SimulatedDisk())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="segment_bytes must be at least 1"):
        Journal(FOLDER, segment_bytes=0, disk=SimulatedDisk())


def test_polars_reads_the_file_as_it_is(tmp_path: Path) -> None:
    import polars as pl

    written(tmp_path / "j", 300, segment_bytes=4000)
    frame = pl.read_ndjson(tmp_path / "j" / "*.ndjson").unnest("e")
    assert frame["n"].to_list() == list(range(1, 301))
    assert frame.filter(pl.col("k") == "heard")["what"].to_list() == [f"é{n}" for n in range(1, 301)]


# ---------------------------------------------------------------- segments and snapshots


def test_segments_are_bounded_and_read_as_one(tmp_path: Path) -> None:
    written(tmp_path / "j", 200, segment_bytes=1000)
    files = sorted((tmp_path / "j").glob("*.ndjson"))
    assert len(files) > 5
    assert all(file.stat().st_size < 1000 + 100 for file in files)
    assert entries(tmp_path / "j") == [entry(n) for n in range(1, 201)]
    assert [one.number for one in read(files[1])] == [
        one.number for one in read(tmp_path / "j") if one.segment == files[1].name
    ]
    assert survey(files[1]).sound


def test_recovery_starts_at_the_newest_snapshot(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", segment_bytes=300) as journal:
        for n in range(1, 11):
            journal.append(entry(n))
        assert journal.snapshot({"k": "snapshot", "t": 5, "state": 10}) == 11
        for n in range(12, 31):
            journal.append(entry(n))
        journal.append({"k": "heard", "t": 5, "what": '"k":"snapshot"'})
    assert [one.number for one in read(tmp_path / "j", from_snapshot=True)] == list(range(11, 32))
    assert [one.number for one in read(tmp_path / "j")] == list(range(1, 32))
    with Journal(tmp_path / "j") as journal:
        assert journal.last == 31
        with pytest.raises(ValueError, match="k of a snapshot must be 'snapshot'"):
            journal.snapshot(entry(1))


def test_damage_before_the_newest_snapshot_is_found_but_stops_nobody(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        for n in range(1, 11):
            journal.append(entry(n))
        journal.snapshot({"k": "snapshot", "t": 5})
    flip(tmp_path / "j" / FIRST, 1000)
    assert survey(tmp_path / "j").bad
    with Journal(tmp_path / "j") as journal:
        assert journal.append(entry(12)) == 12


# ---------------------------------------------------------------- torn ends


def test_a_crash_at_any_byte_of_the_last_entries_loses_only_what_was_not_whole() -> None:
    whole = SimulatedDisk()
    written(FOLDER, 6, disk=whole)
    data = whole.read(FOLDER / FIRST)
    ends = [end + 1 for end, byte in enumerate(data) if byte == ord("\n")]
    for size in range(len(data) + 1):
        disk = SimulatedDisk()
        disk.write(FOLDER / FIRST, data[:size])
        kept = sum(end <= size for end in ends)
        torn = size - ([0, *ends][kept])
        before = survey(FOLDER, disk=disk)
        assert (before.entries, before.torn_bytes, before.bad) == (kept, torn, ())
        with Journal(FOLDER, disk=disk) as journal:
            assert (journal.last, journal.cut) == (kept, torn)
            assert journal.append(entry(kept + 1)) == kept + 1
        assert entries(FOLDER, disk) == [entry(n) for n in range(1, kept + 2)]
        aside = [name for name in disk.names(FOLDER) if name.endswith(".torn")]
        assert [disk.read(FOLDER / name) for name in aside] == ([data[size - torn : size]] if torn else [])


@pytest.mark.parametrize("rest", [b"\0" * 700, b'{"c":1,"e":{}}\n', b"nonsense\n\n{}", b"\n"])
def test_rubbish_at_the_end_is_cut_and_kept_aside_each_time_anew(rest: bytes) -> None:
    disk = SimulatedDisk()
    written(FOLDER, 3, disk=disk)
    good = disk.read(FOLDER / FIRST)
    for more in (rest, rest + b"!", rest):
        disk.write(FOLDER / FIRST, good + more)
        with Journal(FOLDER, disk=disk) as journal:
            assert (journal.last, journal.cut) == (3, len(more))
    assert disk.read(FOLDER / FIRST) == good
    aside = [disk.read(FOLDER / name) for name in disk.names(FOLDER) if name.endswith(".torn")]
    assert aside == [rest + b"!", rest]


def test_a_page_lost_from_the_last_unsynced_batch_is_a_torn_end() -> None:
    """A power cut may keep a later page and lose an earlier one; nobody had been told of either."""
    for lost in (1, 3, 5):
        disk = SimulatedDisk()
        with Journal(FOLDER, disk=disk) as journal:
            journal.append(entry(1))
            journal.sync()
            for n in range(2, 7):
                journal.append(entry(n))
            journal.sync()
        lines = disk.read(FOLDER / FIRST).splitlines(keepends=True)
        holed = b"".join(bytes(len(line)) if index == lost else line for index, line in enumerate(lines))
        disk.write(FOLDER / FIRST, holed)
        with Journal(FOLDER, disk=disk) as journal:
            assert (journal.last, journal.cut) == (lost, len(b"".join(lines[lost:])))


def test_a_page_lost_before_the_last_sync_is_damage() -> None:
    disk = SimulatedDisk()
    written(FOLDER, 6, disk=disk)
    lines = disk.read(FOLDER / FIRST).splitlines(keepends=True)
    disk.write(FOLDER / FIRST, b"".join([*lines[:2], bytes(len(lines[2])), *lines[3:]]))
    with pytest.raises(JournalError, match="the journal is damaged"):
        Journal(FOLDER, disk=disk)


# ---------------------------------------------------------------- damage


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


@pytest.mark.parametrize("fsync", ["always", "never"])
def test_a_flipped_bit_anywhere_is_found_and_what_is_good_can_still_be_read(fsync: Fsync) -> None:
    disk = SimulatedDisk()
    written(FOLDER, 4, disk=disk, fsync=fsync)
    data = disk.read(FOLDER / FIRST)
    last_line = data.rstrip(b"\n").rfind(b"\n") + 1
    for bit in range(8 * len(data)):
        disk.write(FOLDER / FIRST, data)
        disk.flip(FOLDER / FIRST, bit)
        found = survey(FOLDER, disk=disk)
        assert not found.sound
        spoiled = data[: bit // 8].count(b"\n") + 1
        gone = {spoiled, spoiled + 1} if data[bit // 8 : bit // 8 + 1] == b"\n" else {spoiled}
        good = [entry(n) for n in range(1, 5) if n not in gone]
        assert entries(FOLDER, disk, lenient=True) == good
        if bit // 8 < last_line and good[-1:] == [entry(4)]:
            assert found.bad
            with pytest.raises(DataError, match=r"000001\.ndjson at byte \d+: "):
                entries(FOLDER, disk)
            with pytest.raises(JournalError, match=r"the journal is damaged.*nothing is written to it"):
                Journal(FOLDER, disk=disk)
            assert disk.names(FOLDER) == [FIRST]  # nothing was changed, and the lock is free again
        else:
            assert found.torn


@given(
    sizes=st.lists(st.integers(0, 80), min_size=1, max_size=30),
    data=st.data(),
    segment_bytes=st.sampled_from([150, 600, 10_000]),
)
@settings(max_examples=60)
def test_whatever_bytes_change_no_entry_is_made_up(sizes: list[int], data: st.DataObject, segment_bytes: int) -> None:
    disk = SimulatedDisk()
    originals = [entry(n, pad="x" * size) for n, size in enumerate(sizes, 1)]
    with Journal(FOLDER, disk=disk, segment_bytes=segment_bytes) as journal:
        for one in originals:
            journal.append(one)
    name = data.draw(st.sampled_from([name for name in disk.names(FOLDER) if name.endswith(".ndjson")]))
    before = disk.read(FOLDER / name)
    at = data.draw(st.integers(0, len(before)))
    upto = data.draw(st.integers(at, min(len(before), at + 40)))
    after = before[:at] + data.draw(st.binary(max_size=40)) + before[upto:]
    disk.write(FOLDER / name, after)
    found = list(read(FOLDER, disk=disk, lenient=True))
    assert all(one.data == originals[one.number - 1] for one in found)
    assert [one.number for one in found] == sorted({one.number for one in found})
    last = name == max(name for name in disk.names(FOLDER) if name.endswith(".ndjson"))
    cut_between_lines = last and before.startswith(after) and (not after or after.endswith(b"\n"))
    if after != before and not cut_between_lines:
        assert not survey(FOLDER, disk=disk).sound


def test_missing_repeated_and_shuffled_lines_are_damage() -> None:
    disk = SimulatedDisk()
    written(FOLDER, 5, disk=disk)
    lines = disk.read(FOLDER / FIRST).splitlines(keepends=True)
    for order, said in (
        ([0, 1, 3, 4], "entries 3 to 3 are missing before it"),
        ([1, 2, 3, 4], "entries 1 to 1 are missing before it"),
        ([0, 1, 2, 2, 3, 4], "entry 3 comes after entry 3"),
        ([0, 2, 1, 3, 4], "entries 2 to 2 are missing before it"),
    ):
        disk.write(FOLDER / FIRST, b"".join(lines[index] for index in order))
        with pytest.raises(JournalError, match=said):
            Journal(FOLDER, disk=disk)


def test_a_missing_segment_and_a_shortened_one_are_damage(tmp_path: Path) -> None:
    written(tmp_path / "j", 60, segment_bytes=500)
    files = sorted((tmp_path / "j").glob("*.ndjson"))
    kept = files[1].read_bytes()
    files[1].write_bytes(kept[: kept.rstrip(b"\n").rfind(b"\n") + 1])
    (gap,) = survey(tmp_path / "j").bad
    assert (gap.segment, gap.size) == (files[1].name, 0)
    assert "are missing" in gap.reason
    files[1].unlink()
    with pytest.raises(JournalError, match="are missing"):
        Journal(tmp_path / "j")
    with pytest.raises(DataError, match="are missing"):
        entries(tmp_path / "j")


def test_what_is_no_journal_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.ndjson").write_text("{}\n")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "notes.ndjson"):
        with pytest.raises(DataError, match="is no journal: name the folder"):
            survey(path)


# ---------------------------------------------------------------- a disk that refuses


def append_and_sync(journal: Journal, number: int) -> None:
    journal.append(entry(number))
    journal.sync()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("operation", [1, 2])
def test_a_failed_write_or_sync_ends_the_writing(code: int, operation: int) -> None:
    disk = SimulatedDisk(lambda n: n // 2)
    journal = Journal(FOLDER, fsync="on_sync", disk=disk)
    journal.append(entry(1))
    journal.sync()
    disk.errors[disk.operations + operation] = code
    with pytest.raises(JournalError, match="nothing more is written, restart to recover"):
        append_and_sync(journal, 2)
    for _ in range(2):
        with pytest.raises(JournalError, match=r"takes no more entries: entry \d could not be"):
            journal.append(entry(3))
        with pytest.raises(JournalError, match="takes no more entries"):
            journal.sync()
    journal.close()
    disk.restart(power_cut=False)
    with Journal(FOLDER, disk=disk) as again:
        assert again.append(entry(again.last + 1)) in (2, 3)
    assert survey(FOLDER, disk=disk).sound


@pytest.mark.parametrize("fsync", ["always", "on_sync", "never"])
def test_lines_of_a_block_are_handed_over_in_one_write_at_its_end_or_at_a_sync(fsync: Fsync) -> None:
    disk = SimulatedDisk()
    with Journal(FOLDER, fsync=fsync, disk=disk) as journal:
        journal.append(entry(1))
        before = disk.operations
        with journal.together():
            assert [journal.append(entry(n)) for n in (2, 3, 4)] == [2, 3, 4]
            assert (journal.last, disk.operations, len(entries(FOLDER, disk))) == (4, before, 1)
        assert (disk.operations - before, len(entries(FOLDER, disk))) == (2 if fsync == "always" else 1, 4)
        assert journal.unsynced == {"always": 0, "on_sync": 4, "never": 4}[fsync]
        with suppress(ZeroDivisionError), journal.together():
            journal.append(entry(5))
            journal.sync()
            assert len(entries(FOLDER, disk)) == 5
            journal.append(entry(6))
            raise ZeroDivisionError  # what it wrote down has happened all the same
        assert len(entries(FOLDER, disk)) == 6
        with journal.together():
            journal.append(entry(7))
            journal.snapshot({**entry(8), "k": "snapshot"})
    assert entries(FOLDER, disk) == [*(entry(n) for n in range(1, 8)), {**entry(8), "k": "snapshot"}]
    assert survey(FOLDER, disk=disk).sound


def test_a_block_that_cannot_be_written_ends_the_writing() -> None:
    disk = SimulatedDisk(lambda n: n // 2)
    journal = Journal(FOLDER, disk=disk)
    disk.errors[disk.operations + 1] = errno.ENOSPC

    def block() -> None:
        with journal.together():
            for n in (1, 2, 3):
                journal.append(entry(n))

    with pytest.raises(JournalError, match="entry 1 could not be written"):
        block()
    with pytest.raises(JournalError, match="takes no more entries"), journal.together():
        journal.append(entry(1))
    journal.close()
    disk.restart(power_cut=False)
    with Journal(FOLDER, disk=disk) as again:
        assert (again.last, again.append(entry(again.last + 1))) == (1, 2)
    assert survey(FOLDER, disk=disk).sound


def test_a_block_left_open_is_handed_over_when_the_journal_is_closed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.together().__enter__()
    journal.append(entry(1))
    journal.close()
    assert entries(tmp_path / "j") == [entry(1)]


def test_a_contract_is_written_as_its_dictionary(tmp_path: Path) -> None:
    fill = FillEvent("f", "o", "X", "buy", 1.0, 2.0, 3, meta={"b": 1, "a": 2})
    with Journal(tmp_path / "j") as journal:
        journal.append({"k": "heard", "t": 1, "e": fill})
    assert entries(tmp_path / "j") == [{"k": "heard", "t": 1, "e": fill.to_dict()}]


def test_a_full_disk_leaves_what_was_there() -> None:
    disk = SimulatedDisk(capacity=1000)
    journal = Journal(FOLDER, disk=disk)
    for n in range(1, 10):
        journal.append(entry(n))
    with pytest.raises(JournalError, match="could not be written: No space left on device"):
        journal.append(entry(10, pad="x" * 1000))
    kept = journal.last
    journal.close()
    disk.capacity = None
    with Journal(FOLDER, disk=disk) as again:
        assert again.last == kept
        assert again.cut > 0


LIMITED = """
import resource, sys
from core.journal import Journal, JournalError
journal = Journal(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    while True:
        journal.append({"k": "heard", "t": journal.last})
except JournalError as error:
    print(journal.last, error)
"""


def test_a_real_file_that_cannot_grow_is_one_line_and_recovers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "j")],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True,
    )  # fmt: skip
    last, _, said = done.stdout.partition(" ")
    assert "could not be written: File too large; nothing more is written, restart to recover" in said
    assert len(done.stdout.splitlines()) == 1
    with Journal(tmp_path / "j") as journal:
        assert journal.last == int(last) > 5
        assert journal.cut > 0


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="the journal cannot be opened: "):
        Journal(tmp_path / "file" / "j")


def test_an_interrupted_append_ends_the_writing() -> None:
    disk = SimulatedDisk()
    journal = Journal(FOLDER, fsync="always", disk=disk)
    disk.crash_at = disk.operations + 1
    with pytest.raises(Crashed):
        journal.append(entry(1))
    with pytest.raises(JournalError, match="an append was interrupted"):
        journal.append(entry(1))


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with Journal(tmp_path / "j"), pytest.raises(JournalError, match="another process writes this journal"):
        Journal(tmp_path / "j")
    Journal(tmp_path / "j").close()


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="it is closed"):
        journal.append(entry(1))


# ---------------------------------------------------------------- crashes


@given(
    script=st.lists(st.sampled_from(["append", "append", "block", "sync", "snapshot"]), min_size=1, max_size=25),
    crash=st.integers(1, 60),
    draws=st.lists(st.integers(0, 10**9), min_size=1, max_size=30),
    power_cut=st.booleans(),
    fsync=st.sampled_from(["always", "on_sync", "never"]),
    again=st.integers(0, 8),
)
@settings(max_examples=400)
def test_a_crash_at_any_operation_keeps_what_was_promised(
    script: list[str], crash: int, draws: list[int], power_cut: bool, fsync: Fsync, again: int
) -> None:
    """Also where the recovery itself crashes (`again`): no synced entry is lost, none is made up, numbers have no gaps.

    pitfall 28
    """
    turn = iter(range(10**9))
    disk = SimulatedDisk(lambda n: draws[next(turn) % len(draws)] % n, crash_at=crash)
    sent = told = safe = 0
    try:
        journal = Journal(FOLDER, fsync=fsync, disk=disk, segment_bytes=250)
        for word in script:
            if word == "append":
                sent += 1
                assert journal.append(entry(sent)) == sent
            elif word == "snapshot":
                sent += 1
                assert journal.snapshot({**entry(sent), "k": "snapshot"}) == sent
            elif word == "block":
                with journal.together():
                    for _ in range(3):
                        sent += 1
                        assert journal.append(entry(sent)) == sent
            else:
                journal.sync()
            told = sent
            if not journal.unsynced:
                safe = sent
    except Crashed:
        pass
    if fsync == "never" and power_cut:
        safe = 0  # nothing was promised, and pages in the middle may be gone: refusing is allowed too
    elif not power_cut:
        safe = told  # a killed process loses nothing that it was told is written
    if again:
        disk.restart(power_cut=power_cut)
        disk.crash_at = disk.operations + again
        with suppress(Crashed, JournalError):
            Journal(FOLDER, fsync=fsync, disk=disk, segment_bytes=250).close()
    disk.restart(power_cut=power_cut)
    try:
        recovered = Journal(FOLDER, fsync=fsync, disk=disk, segment_bytes=250)
    except JournalError:
        assert (fsync, power_cut) == ("never", True)
        return
    assert safe <= recovered.last <= sent
    number = recovered.append(entry(recovered.last + 1))
    recovered.close()
    found = list(read(FOLDER, disk=disk))
    assert [one.number for one in found] == list(range(1, number + 1))
    assert [one.data["what"] for one in found] == [f"é{n}" for n in range(1, number + 1)]
    assert survey(FOLDER, disk=disk).sound


WRITER = """
import sys
from core.journal import Journal
with Journal(sys.argv[1], fsync="on_sync", segment_bytes=20_000) as journal:
    while True:
        number = journal.append({"k": "heard", "t": journal.last, "pad": "x" * (journal.last % 300)})
        if number % 7 == 0:
            journal.sync()
        print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_had_written(tmp_path: Path) -> None:
    """A real process, a real disk, kill -9. pitfall 28"""
    last = 0
    for run in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "j")], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
        ) as writer:
            assert writer.stdout is not None
            for _ in range(20 + 37 * run):
                last = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            told = writer.stdout.read().splitlines()
            last = int(told[-1]) if told and told[-1].isdigit() else last
        assert survey(tmp_path / "j").bad == ()
        with Journal(tmp_path / "j") as journal:
            assert journal.last >= last - 1  # its last word may be cut in the middle of a number
    assert [one.number for one in read(tmp_path / "j")] == list(range(1, journal.last + 1))
