from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, DataError
from research.data_reader import DataReader
from research.sample import SampleMarket, ensure_sample, generate, write_sample
from research.store import Store
from research.times import DAY_NS, MINUTE_NS
from tests.test_research_store import JANUARY, commit, files, minutes

ROOT = Path(__file__).resolve().parents[1]
MARKET = SampleMarket()


def test_the_example_session_has_nine_months_of_minutes() -> None:
    bars, quotes = generate(MARKET)
    assert len(bars) == len(quotes) == 393_120
    steps = np.unique(np.diff(bars["ts_open_ns"].to_numpy()))
    assert steps.tolist() == [MINUTE_NS]


def test_a_shorter_sample_is_the_beginning_of_a_longer_one() -> None:
    short, long = (generate(MARKET, "2025-01-01", end) for end in ("2025-01-04", "2025-01-09"))
    for part, whole in zip(short, long, strict=True):
        assert part.equals(whole[: len(part)])


def test_the_sample_is_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    script = "import sys; from research.sample import write_sample; write_sample(sys.argv[1], end='2025-01-03')"
    for seed in ("0", "1", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", script, str(tmp_path / seed)], check=True, env=environment)
    first, *others = ({n: (tmp_path / s / n).read_bytes() for n in files(tmp_path / s)} for s in ("0", "1", "4711"))
    assert len(first) == 4
    assert all(other == first for other in others)


def test_another_seed_is_another_market() -> None:
    one, two = (generate(SampleMarket(seed=seed), end="2025-01-02")[0] for seed in (1, 2))
    assert not one["close"].equals(two["close"])


def test_bars_keep_their_promises_and_trade_at_the_quotes() -> None:
    bars, quotes = generate(MARKET, end="2025-01-15")
    open_, high, low, close, volume = (bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))
    bid, ask = quotes["bid"].to_numpy(), quotes["ask"].to_numpy()
    assert (low <= np.minimum(open_, close)).all()
    assert (high >= np.maximum(open_, close)).all()
    assert (low > 0).all()
    assert (volume > 0).all()
    assert (bid < ask).all()
    assert ((open_ == bid) | (open_ == ask)).all()
    assert ((close[:-1] == bid[1:]) | (close[:-1] == ask[1:])).all()
    for prices in (open_, high, low, close, bid, ask):
        assert np.array_equal(prices, np.rint(prices * 1000) / 1000)
    for sizes in (volume, quotes["bid_qty"].to_numpy(), quotes["ask_qty"].to_numpy()):
        assert np.array_equal(sizes, np.rint(sizes * 100) / 100)


def test_the_market_looks_like_one() -> None:
    """Level, volatility, tails, clusters and the shape of day and week, each in a range that real ATOM minutes meet."""
    bars, quotes = generate(MARKET)
    close, volume = bars["close"].to_numpy(), bars["volume"].to_numpy()
    returns = np.diff(np.log(close))
    size = np.abs(returns)
    assert bars["open"][0] == pytest.approx(6.5, abs=0.01)
    assert 3 < bars["low"].min() < bars["high"].max() < 9  # type: ignore[operator]
    assert 0.04 < np.sqrt(np.mean(returns**2) * 1440) < 0.055
    assert 5e6 < volume.sum() / 273 < 7e6
    assert np.mean(returns**4) / np.mean(returns**2) ** 2 > 6
    assert all(np.corrcoef(size[lag:], size[:-lag])[0, 1] > floor for lag, floor in ((1, 0.1), (60, 0.05)))
    assert np.corrcoef(size, volume[1:])[0, 1] > 0.3
    by_hour = volume.reshape(273, 24, 60).sum(axis=(0, 2))
    assert by_hour[13:16].mean() > 1.8 * by_hour[3:6].mean()
    weekday = (np.arange(273) + 2) % 7  # 2025-01-01 was a Wednesday
    by_day = volume.reshape(273, 1440).sum(axis=1)
    assert by_day[weekday < 5].mean() > 1.1 * by_day[weekday >= 5].mean()
    spread_bps = ((quotes["ask"] - quotes["bid"]) / quotes["bid"] * 1e4).mean()
    assert spread_bps == pytest.approx(MARKET.spread_bps, rel=0.35)


def test_the_sample_says_that_it_is_synthetic_and_how_it_was_made(tmp_path: Path) -> None:
    bars, quotes = write_sample(tmp_path, end="2025-01-02")
    for dataset in (bars, quotes):
        assert dataset.synthetic
        assert dataset.venue == "sample"
        assert dataset.synthesis["seed"] == MARKET.seed
        assert "(synthetic)" in str(dataset)
    instrument = DataReader(tmp_path).instrument("ATOM/USDT")
    assert (instrument.tick, instrument.lot, instrument.spread_bps) == ("0.001", "0.01", MARKET.spread_bps)


def test_the_sample_is_made_where_there_is_no_store_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "data"
    assert ensure_sample(folder, said.append)
    assert len(said) == 1
    assert "SYNTHETIC" in said[0]
    assert sorted(path.name for path in folder.iterdir()) == ["venue=sample"]
    bars = DataReader(folder).bars("ATOM/USDT")
    assert (len(bars), bars.ts_close_ns[-1] - bars.ts_open_ns[0]) == (393_120, 273 * DAY_NS)
    assert not ensure_sample(folder, said.append)
    assert len(said) == 1


def test_synthetic_bars_never_stand_in_for_missing_real_ones(tmp_path: Path) -> None:
    commit(Store(tmp_path), minutes(JANUARY, [6.5]), symbol="ETH/USDT")
    assert not ensure_sample(tmp_path)
    with pytest.raises(DataError) as refused:
        DataReader(tmp_path).bars("ATOM/USDT")
    line = str(refused.value)
    assert "ETH/USDT at binance: ohlcv_1m 2025-01-31T23:58 to 2025-01-31T23:59" in line
    assert all(f"`fillwright data {verb}`" in line for verb in ("download", "import", "sample"))


def test_an_interrupted_sample_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Store.commit

    def interrupted(store: Store, *args: object, **kwargs: object) -> object:
        if kwargs["kind"] == "quotes":
            raise KeyboardInterrupt
        return real(store, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "commit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ensure_sample(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "value"), [("daily_vol", 0.0), ("start_price", float("nan")), ("daily_volume", -1.0)]
)
def test_impossible_markets_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        SampleMarket(**{field: value})  # type: ignore[arg-type]


def test_days_must_be_in_order() -> None:
    for start, end in pairwise(("2025-02-01", "2025-02-01", "2025-01-01")):
        with pytest.raises(ConfigError, match="start must be before end"):
            generate(MARKET, start, end)
