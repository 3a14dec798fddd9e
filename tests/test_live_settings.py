"""config/live.yaml: what it may say, and what is said where it cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ConfigError, DataError
from live.settings import CcxtFeed, LiveSettings, ReplayFeed, load_live, replayed, speed_of
from live.socket_path import short
from live.wanted import read_wanted
from tests.traders import ROOT, SYMBOL


def written(folder: Path, text: str) -> Path:
    file = folder / "live.yaml"
    file.write_text(text)
    return file


def test_the_file_that_ships_is_read_and_its_defaults_are_the_programs() -> None:
    shipped = load_live(ROOT / "config" / "live.yaml")
    assert isinstance(shipped.feed, ReplayFeed)
    defaults = LiveSettings()
    for name in ("folder", "seed", "capital", "on_restart", "on_stop", "fsync", "socket", "bus"):
        assert getattr(shipped, name) == getattr(defaults, name), name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("on_stop: wait", "on_stop: must be one of resume, cancel, finish"),
        ("fold: var", "unknown setting: did you mean 'folder'"),
        ("feed: {type: reply, symbol: A/B}", "unknown type 'reply': did you mean 'replay'"),
        ("feed: {type: replay, symbol: A/B, speed: 0}", "feed.speed: must be"),
        ("capital: -1", "capital: must be"),
        ("strategies: [{id: a, symbol: A/B}]\nfeed: {type: replay, symbol: X/Y}", "but the feed is of X/Y"),
        (
            "strategies: [{id: a, symbol: A/B}, {id: a, symbol: A/B}]\nfeed: {type: replay, symbol: A/B}",
            "more than once",
        ),
    ],
)
def test_a_slip_in_the_file_gets_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_live(written(tmp_path, text))
    assert said in str(caught.value)
    assert "live.yaml" in str(caught.value)


def test_a_live_feed_can_be_replayed_instead() -> None:
    live = LiveSettings(feed=CcxtFeed(exchange="binance", symbol=SYMBOL))
    tape = replayed(live, speed="max", end="2025-01-02").feed
    assert tape == ReplayFeed(symbol=SYMBOL, speed="max", end="2025-01-02")


@pytest.mark.parametrize("text", ["0", "-1", "fast", "nan", "inf"])
def test_a_speed_is_a_number_above_0_or_max(text: str) -> None:
    assert (speed_of("max"), speed_of("60")) == ("max", 60.0)
    with pytest.raises(ConfigError, match="--speed must be"):
        speed_of(text)


def test_a_socket_path_that_is_too_long_is_refused_and_a_long_one_is_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.chdir(deep)
    assert short(deep / "trader.sock") == "trader.sock"
    with pytest.raises(ConfigError, match="longer than 100 bytes"):
        short(tmp_path / ("e" * 120) / "trader.sock")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: "),
        ('{"id": "b", "symbol": "X/Y", "side": "buy", "quantity": 1}', "line 2: symbol 'X/Y' is not traded here"),
        ('{"id": "a", "symbol": "ATOM/USDT", "side": "buy", "quantity": 1}', "line 2: id 'a' stands twice"),
        ('{"id": "b", "symbol": "ATOM/USDT", "side": "buy", "quantity": 1, "start": "soon"}', "start must be a date"),
    ],
)
def test_a_slip_in_a_file_of_orders_names_its_line(line: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.ndjson"
    file.write_text('{"id": "a", "symbol": "ATOM/USDT", "side": "buy", "quantity": 1}\n' + line + "\n")
    with pytest.raises(DataError) as caught:
        read_wanted(file, SYMBOL)
    assert said in str(caught.value)
