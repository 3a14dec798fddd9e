"""`fillwright kill`: the switch by hand, from another process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.console import run as run_command
from fillwright.cli import fillwright
from risk.gate import RiskGate
from risk.kill import KillSwitch
from tests.risks import X, breached, loose, order

ROOT = Path(__file__).resolve().parents[1]
ANN = ("--by", "ann", "--reason", "venue is mad")


def call(*words: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        run_command(fillwright, ["kill", *map(str, words)])
    out, err = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, out, err


def test_trip_status_clear_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "var" / "kill"
    assert call("status", "--file", file, capsys=capsys) == (0, f"{file}: not tripped\n", "")
    code, out, _ = call("trip", *ANN, "--file", file, capsys=capsys)
    assert code == 0
    assert out.startswith(f"{file}: tripped by ann: venue is mad at 20")
    code, out, _ = call("status", "--file", file, capsys=capsys)
    assert code == 1
    assert "trip by ann: venue is mad" in out.splitlines()[1]
    code, out, _ = call("clear", "--by", "bob", "--reason", "venue is well", "--file", file, capsys=capsys)
    assert (code, out) == (0, f"{file}: not tripped\n")
    code, out, _ = call("status", "--file", file, capsys=capsys)
    assert code == 0
    assert [line.split("UTC  ")[1] for line in out.splitlines()[1:]] == [
        "trip by ann: venue is mad",
        "clear by bob: venue is well",
    ]


def test_the_file_of_the_limits_is_the_one_that_gates_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "risk.yaml").write_text("kill_switch_file: var/stop\n")
    gate = RiskGate(loose(kill_switch_file="var/stop"))
    gate.on_price(X, 5.0, 5.01, 0)
    assert gate.check(order("a"), 0).allowed
    assert call("trip", *ANN, capsys=capsys)[0] == 0
    assert breached(gate.check(order("b"), 0)) == ["R18"]
    assert gate.check(order("c", action="cancel", target_intent_id="a"), 0).allowed
    assert breached(RiskGate(loose(kill_switch_file="var/stop")).check(order("d"), 0)) == ["R04", "R18"]  # a restart
    assert call("clear", *ANN, capsys=capsys)[0] == 0
    assert gate.check(order("e"), 0).allowed


@pytest.mark.parametrize("words", [("trip",), ("trip", "--by", "ann"), ("clear", "--reason", "x"), ("stop",)])
def test_without_a_name_and_a_reason_nothing_happens(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "kill"
    code, out, err = call(*words, *(("--file", file) if words != ("stop",) else ()), capsys=capsys)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert not file.exists()


@pytest.mark.parametrize("blank", ["", " ", " ann"])
def test_a_blank_name_is_none(blank: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call("trip", "--by", blank, "--reason", "x", "--file", tmp_path / "kill", capsys=capsys)
    assert code == 1
    assert err == f"error: by must be a name without surrounding blanks, was {blank!r}\n"


def test_what_is_not_tripped_cannot_be_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call("clear", *ANN, "--file", tmp_path / "kill", capsys=capsys)
    assert (code, err) == (1, f"error: the kill switch {tmp_path / 'kill'} is not tripped\n")


def test_a_switch_that_cannot_be_read_is_tripped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # pitfall 29
    (tmp_path / "file").touch()
    code, out, _ = call("status", "--file", tmp_path / "file" / "kill", capsys=capsys)
    assert code == 1
    assert "counts as tripped" in out
    code, _, err = call("trip", *ANN, "--file", tmp_path / "file" / "kill", capsys=capsys)
    assert code in (0, 1)  # it is tripped already; its log cannot be written
    assert "Traceback" not in err


def test_json_is_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "kill"
    tripped = json.loads(call("trip", *ANN, "--file", file, "--json", capsys=capsys)[1])
    assert tripped["ts_ns"] > 0
    assert {name: tripped[name] for name in ("file", "tripped", "by", "reason", "bus", "untold")} == {
        "file": str(file), "tripped": True, "by": "ann", "reason": "venue is mad", "bus": None, "untold": None,
    }  # fmt: skip
    with (tmp_path / "kill.log").open("a") as log:
        log.write("torn {\n")
    code, out, _ = call("status", "--file", file, "--json", capsys=capsys)
    assert code == 1
    first, torn = json.loads(out)["history"]
    assert (first["action"], first["by"], torn) == ("trip", "ann", {"unreadable": "torn {"})


def test_a_bus_that_cannot_be_told_leaves_the_file_tripped_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import risk.engine

    monkeypatch.setattr(
        risk.engine, "announce_kill", lambda url, by, reason, ts_ns: (_ for _ in ()).throw(OSError(f"{url} is away"))
    )
    limits = tmp_path / "risk.yaml"
    limits.write_text(f"kill_switch_file: {tmp_path / 'kill'}\nkill_bus: unix:///no/such/redis.sock\n")
    code, out, err = call("trip", *ANN, "--config", limits, capsys=capsys)
    assert code == 1
    assert "tripped by ann" in out
    assert err == "the switch is tripped, but the bus could not be told: unix:///no/such/redis.sock is away\n"
    assert KillSwitch(tmp_path / "kill").tripped()


def test_limits_that_name_no_switch_ask_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits = tmp_path / "risk.yaml"
    limits.write_text("symbols: [A]\n")
    code, _, err = call("status", "--config", limits, capsys=capsys)
    assert (code, err) == (1, f"error: {limits}: kill_switch_file is not set: name the switch with --file\n")


def test_it_stops_the_gate_of_another_process_that_hangs(tmp_path: Path) -> None:
    """The trader of the test does nothing but ask its gate; the command shuts it from outside."""
    code = """
import sys
from tests.risks import X, gate_at, order
from risk.kill import KillSwitch
gate = gate_at(kill=KillSwitch(sys.argv[1]))
print(gate.check(order("a"), 0).allowed, flush=True)
sys.stdin.readline()
print(gate.check(order("b"), 0).reason, flush=True)
"""
    trader = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "kill"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert trader.stdout is not None
    assert trader.stdout.readline() == "True\n"
    subprocess.run(
        [sys.executable, "-m", "risk.kill_command", "trip", *ANN, "--file", tmp_path / "kill"], cwd=ROOT, check=True,
        capture_output=True,
    )  # fmt: skip
    assert trader.communicate("\n")[0] == "R18 kill switch tripped by ann: venue is mad\n"
    assert trader.returncode == 0


def test_help_names_the_verbs() -> None:
    shown = CliRunner().invoke(fillwright, ["kill", "--help"]).output
    for verb in ("trip", "status", "clear"):
        assert verb in shown
