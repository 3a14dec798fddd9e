"""FIX execution reports: framing, checksums, repeats, busts, corrections, fees, how orders end."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError, DataError
from execution.contracts import ExecutionReport
from execution.foreign.reading import Choices, Imported, read_foreign
from tests.foreign import fill, fix, fix_messages, report, write_fix

NEW = {"t37": "o1", "t11": "c1", "t17": "e0", "t150": "0", "t39": "0", "t54": "1", "t55": "ATOM/USDT", "t38": "10",
       "t14": "0", "t60": "20250101-00:00:00.000"}  # fmt: skip
TRADE = NEW | {"t17": "e1", "t150": "F", "t39": "1", "t31": "5.0", "t32": "4", "t14": "4", "t6": "5.0",
               "t60": "20250101-00:01:00.000"}  # fmt: skip
DONE = TRADE | {
    "t17": "e2",
    "t39": "2",
    "t31": "5.1",
    "t32": "6",
    "t14": "10",
    "t6": "5.06",
    "t60": "20250101-00:02:00",
}
CANCEL = NEW | {"t17": "e9", "t150": "4", "t39": "4", "t14": "4", "t58": "asked for", "t60": "20250101-01:00:00"}


def read(tmp_path: Path, *messages: dict[str, Any] | bytes, choices: Choices | None = None) -> Imported:
    lines = [one if isinstance(one, bytes) else fix(**one) for one in messages]
    return read_foreign([write_fix(tmp_path / "s.log", lines)], choices)


def one(found: Imported) -> ExecutionReport:
    (report,) = found.reports
    return report


@pytest.mark.parametrize("separator", [b"\x01", b"|", b"^A", b"\\x01"])
@pytest.mark.parametrize("prefix", [b"", b"2025-01-01 00:00:00,123 INFO | IN  | ", b"<OUT> "])
def test_logs_print_messages_in_many_ways(tmp_path: Path, separator: bytes, prefix: bytes) -> None:
    path = write_fix(tmp_path / "s.log", [fix(**NEW), fix(**TRADE), fix(**DONE)], separator, prefix)
    path.write_bytes(b"session started\n\n" + path.read_bytes() + b"bye\n")
    found = one(read_foreign([path]))
    assert (found.execution_id, found.filled_quantity, found.status, found.total_quantity) == (
        "o1",
        10,
        "completed",
        10,
    )
    assert found.avg_fill_price == pytest.approx(5.06)


def test_messages_may_follow_each_other_without_line_ends(tmp_path: Path) -> None:
    (tmp_path / "raw.fix").write_bytes(fix(**NEW) + fix(**TRADE) + fix(**DONE))
    assert one(read_foreign([tmp_path / "raw.fix"])).filled_quantity == 10


def test_a_repeat_counts_once_with_or_without_possdup(tmp_path: Path) -> None:
    found = read(tmp_path, NEW, TRADE, TRADE, TRADE | {"t43": "Y", "t97": "Y"}, DONE, DONE | {"t43": "Y"})
    assert one(found).filled_quantity == 10
    assert "3 reports came again and count once" in found.sources[0].said


def test_a_repeat_whose_original_is_not_in_the_log_counts(tmp_path: Path) -> None:
    assert one(read(tmp_path, NEW, TRADE | {"t43": "Y"}, DONE)).filled_quantity == 10


@pytest.mark.parametrize("bust", [{"t150": "H"}, {"t150": "1", "t20": "1"}])
def test_a_busted_fill_did_not_happen(tmp_path: Path, bust: dict[str, str]) -> None:
    undo = TRADE | bust | {"t17": "e3", "t19": "e2", "t14": "4", "t39": "1", "t60": "20250101-00:03:00"}
    messages = [NEW, TRADE, DONE, undo, CANCEL]
    found = one(read(tmp_path, *messages))
    assert (found.filled_quantity, found.remaining_quantity, found.status) == (4, 6, "cancelled")
    assert len(found.fills) == 1
    assert one(read(tmp_path, undo, CANCEL, DONE, TRADE, NEW)).filled_quantity == 4


@pytest.mark.parametrize("correct", [{"t150": "G"}, {"t150": "2", "t20": "2"}])
def test_a_corrected_fill_is_what_the_correction_says(tmp_path: Path, correct: dict[str, str]) -> None:
    right = DONE | correct | {"t17": "e3", "t19": "e2", "t31": "5.2", "t32": "6", "t60": "20250101-00:05:00"}
    found = one(read(tmp_path, NEW, TRADE, DONE, right))
    assert [(fill.qty, fill.price) for fill in found.fills] == [(4, 5.0), (6, 5.2)]
    again = right | {"t17": "e4", "t19": "e3", "t31": "5.3", "t60": "20250101-00:06:00"}
    for order in ([NEW, TRADE, DONE, right, again], [again, right, DONE, TRADE, NEW]):
        assert [fill.price for fill in one(read(tmp_path, *order)).fills] == [5.0, 5.3]
    undo = again | {"t150": "H", "t20": "0", "t17": "e5", "t19": "e4", "t14": "4", "t60": "20250101-00:07:00"}
    assert one(read(tmp_path, NEW, TRADE, DONE, right, again, undo, CANCEL)).filled_quantity == 4


def test_answers_to_status_requests_are_no_fills(tmp_path: Path) -> None:
    found = one(
        read(tmp_path, NEW, TRADE, TRADE | {"t17": "s1", "t150": "I"}, TRADE | {"t17": "s2", "t20": "3"}, CANCEL)
    )
    assert found.filled_quantity == 4


def test_fix_42_fills_have_other_words(tmp_path: Path) -> None:
    found = one(read(tmp_path, NEW | {"t20": "0"}, TRADE | {"t150": "1", "t20": "0"}, DONE | {"t150": "2", "t20": "0"}))
    assert (found.filled_quantity, found.status) == (10, "completed")


def test_a_replaced_order_is_one_order_with_its_last_quantity(tmp_path: Path) -> None:
    """Without OrderIDs, the chain of ClOrdIDs says that it is the same order."""
    replaced = NEW | {"t37": "NONE", "t11": "c2", "t41": "c1", "t150": "5", "t38": "20", "t17": "e5",
                      "t60": "20250101-00:01:30"}  # fmt: skip
    bare = [one | {"t37": "NONE"} for one in (NEW, TRADE)]
    last = DONE | {"t37": "NONE", "t11": "c2", "t38": "20", "t39": "1"}
    found = one(read(tmp_path, *bare, replaced, last, CANCEL | {"t37": "NONE", "t11": "c2", "t38": "20", "t14": "10"}))
    assert (found.execution_id, found.total_quantity, found.filled_quantity) == ("c1", 20, 10)


def test_rejected_and_cancelled_orders_without_fills_are_kept(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        NEW | {"t150": "8", "t39": "8", "t58": "no money"},
        NEW | {"t37": "o2"}, CANCEL | {"t37": "o2", "t14": "0"},
    )  # fmt: skip
    rejected, cancelled = sorted(found.reports, key=lambda one: one.execution_id)
    assert (rejected.status, rejected.unfilled_reason, rejected.filled_quantity) == ("failed", "no money", 0)
    assert (cancelled.status, cancelled.unfilled_reason, cancelled.total_fees) == ("cancelled", "asked for", 0)


def test_fills_that_are_not_in_the_log_are_missed_not_forgotten(tmp_path: Path) -> None:
    found = read(tmp_path, NEW, DONE)
    assert (one(found).filled_quantity, one(found).avg_fill_price, len(one(found).fills)) == (10, 5.06, 1)
    assert math.isnan(one(found).total_fees)
    assert any("fills missing" in note for note in found.taken)


@pytest.mark.parametrize(
    ("tags", "fee"),
    [
        ({"t12": "0.5"}, 1.0), ({"t12": "0.1", "t13": "1"}, 1.0), ({"t12": "0.5", "t13": "3"}, 1.0),
        ({"t12": "0.1", "t13": "2"}, math.nan), ({"t12": "0.1", "t479": "BNB"}, math.nan), ({}, math.nan),
        ({"t136": "1", "t137": "0.5", "t138": "USDT", "t139": "4"}, 1.0), ({"t12": "-0.5"}, -1.0),
    ],
)  # fmt: skip
def test_commissions(tmp_path: Path, tags: dict[str, str], fee: float) -> None:
    fills = [one | tags | {"t32": "5"} for one in (TRADE, DONE)]
    assert one(read(tmp_path, NEW, *fills)).total_fees == pytest.approx(fee, nan_ok=True)


def test_liquidity_is_tag_851(tmp_path: Path) -> None:
    found = one(read(tmp_path, NEW, TRADE | {"t851": "1"}, DONE | {"t851": "2"}))
    assert [fill.liquidity for fill in found.fills] == ["maker", "taker"]


def test_the_parent_may_be_in_a_tag_of_its_own(tmp_path: Path) -> None:
    first = [one | {"t583": "p"} for one in (NEW, TRADE, DONE)]
    second = [one | {"t37": "o2", "t11": "c2"} for one in first]
    found = one(read(tmp_path, *first, *second, choices=Choices(parent_tag=583)))
    assert (found.execution_id, found.total_quantity, found.slices_total, found.slices_completed) == ("p", 20, 2, 2)


def test_other_messages_are_counted_and_passed_over(tmp_path: Path) -> None:
    heartbeat, order = fix(t35="0", t49="ME"), fix(t35="D", t11="c1")
    found = read(tmp_path, heartbeat, order, NEW, TRADE, DONE)
    assert found.sources[0].said == ["other messages: 1 of type 0, 1 of type D"]


def broken(tags: dict[str, Any]) -> bytes:
    return fix(**tags).replace(b"31=5.0", b"31=6.0")


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([NEW, broken(TRADE)], r"s.log, line 2: the checksum \(tag 10\) is \d{3}, but the message adds up to \d{3}"),
        ([fix(**NEW)[:-8]], r"s.log, line 1: the message has no checksum \(tag 10\) at its end"),
        (
            [NEW, TRADE | {"t31": "0"}],
            r"s.log, line 2: LastPx \(tag 31\) is 0: a fill has a price above 0",
        ),  # pitfall 30
        ([NEW, TRADE | {"t31": None}], r"line 2: LastPx \(tag 31\) is nan"),
        ([NEW, TRADE | {"t31": "5,0"}], r"line 2: tag 31 has a decimal comma, was '5,0': write 5.0"),
        ([NEW, TRADE | {"t32": "0"}], r"line 2: LastQty \(tag 32\) is 0"),
        ([NEW, TRADE | {"t60": "2025-01-01T00:00:00"}], r"TransactTime \(tag 60\) is '2025-01-01T00:00:00'"),
        ([NEW, TRADE | {"t60": None}], r"there is no TransactTime"),
        ([NEW, TRADE | {"t54": "X"}], r"Side \(tag 54\) is 'X'"),
        ([NEW, TRADE | {"t39": "Z"}], r"OrdStatus \(tag 39\) is 'Z'"),
        ([NEW, TRADE | {"t150": "H"}], r"no ExecRefID \(tag 19\)"),
        ([NEW | {"t37": None, "t11": None}], r"no OrderID \(tag 37\) and no ClOrdID"),
    ],
)
def test_a_bad_message_is_one_line_with_file_line_tag_and_remedy(
    tmp_path: Path, messages: Sequence[Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, *messages)
    assert "\n" not in str(caught.value)


def test_a_wrong_checksum_can_be_left_out_or_let_through(tmp_path: Path) -> None:
    found = read(tmp_path, NEW, broken(TRADE), DONE, choices=Choices(on_bad="skip"))
    assert found.skipped == {"wrong checksum": 1}
    assert one(found).filled_quantity == 10  # CumQty knows of both
    let_through = one(read(tmp_path, NEW, broken(TRADE), DONE, choices=Choices(checksum=False)))
    assert [fill.price for fill in let_through.fills] == [6.0, 5.1]


def test_a_file_without_messages_says_what_one_looks_like(tmp_path: Path) -> None:
    (tmp_path / "s.log").write_text("hello\n")
    with pytest.raises(DataError, match=r"s.log holds no FIX message: one begins with 8=FIX"):
        read_foreign([tmp_path / "s.log"], Choices(form="fix"))


def test_without_simplefix_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_fix(tmp_path / "s.log", fix_messages([report(fill(1, 2.0, 10.0))]))
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name == "simplefix":
            raise ModuleNotFoundError(name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ConfigError, match=r"pip install 'fillwright\[fix\]'"):
        read_foreign([path])
