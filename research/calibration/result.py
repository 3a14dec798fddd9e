"""`calibration.yaml`: what was measured, on what, how well it forecasts, and the settings that use it."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core import yaml_text
from core.errors import ConfigError, DataError
from research.calibration.prior import PRIOR_WORDS
from research.calibration.proxies import TRADERS
from research.times import iso

if TYPE_CHECKING:
    from research.calibration.executions import OrderCalibration
    from research.calibration.fit import Fit
    from research.calibration.market import MarketCalibration
    from research.calibration.proxies import Proxies
    from research.calibration.regression import Slope
    from research.calibration.score import Score, Scores

KINDS: Final = ("executions", "market")
HEADER: Final = """\
# Written by `fillwright calibrate`. `slippage` below is what config/execution.yaml takes from it, by
#   slippage:
#     calibration: <this file>
"""
_DIGITS: Final = 6


def executions_document(found: OrderCalibration) -> dict[str, Any]:
    """The part of the file that the orders alone decide; the caller adds period, data and warnings."""
    prior = found.prior
    return {
        "kind": "executions",
        "use": found.use,
        "verdict": found.verdict,
        "slippage": found.slippage,
        "orders": len(found.orders),
        "days": len(found.orders.clusters),
        "method": {
            "exponent": "0.5 in square_root, free in power and almgren",
            "estimate": "weighted least squares, weights 1 / (duration / 3 + 0.0001); robust: soft L1 loss",
            "intervals": "95 %, cluster bootstrap by UTC day" if found.fits[0].clusters >= 5 else "none: too few days",
            "prior": PRIOR_WORDS,
            "permanent_share": found.permanent_share,
            "seed": found.seed,
        },
        "coefficient": {
            "value": prior.median,
            "interval": list(prior.interval),
            "half_spread": prior.half_spread,
            "from_orders_alone": prior.from_data,
            "informed_by_orders": prior.informed,
        },
        "constant_bps": found.constant,
        "laws": {one.law: _fit(one) for one in found.fits},
        "on_ordered_quantity": None if found.ordered is None else _fit(found.ordered),
        "drift_per_volume_day": {"value": found.drift.value, "t": found.drift.ols_t},
        "out_of_sample": scores_document(found.scores),
    }


def market_document(found: MarketCalibration) -> dict[str, Any]:
    """All that was measured, with the settings that use it."""
    return {
        "kind": "market",
        "use": found.use,
        "verdict": found.verdict,
        "slippage": found.slippage,
        "symbol": found.symbol,
        "period": moments(found.start_ns, found.end_ns),
        "trades": found.trades,
        "intervals": found.intervals,
        "method": {
            "interval_s": found.interval_s,
            "mids": found.mid_source,
            "signed_by": found.signed_by,
            "slopes": "least squares without intercept, Newey-West errors, 95 % intervals",
            "day_hours": found.day_hours,
            "seed": found.seed,
        },
        "spread": {"quoted_bps": found.quoted_bps, "effective_bps": found.effective_bps},
        "volatility_per_day": found.volatility,
        "daily_volume": found.daily_volume,
        "volume_by_hour": list(found.curve) or None,
        "kyle": {**_slope(found.kyle), "bps_per_percent_of_daily_volume": found.kyle_bps},
        "constant_bps_by_sign": _slope(found.constant),
        "order_flow_imbalance": None if found.imbalance is None else _slope(found.imbalance),
        "order_flow_imbalance_by_depth": None if found.by_depth is None else _slope(found.by_depth),
        "out_of_sample": {
            "method": "five blocks of time, each but the first forecast from those before it; bps squared",
            "forecasts": found.forecasts.n,
            "squared_error": found.forecasts.error,
            "skill": found.forecasts.skill,
        },
        "proxy_orders": None if found.proxies is None else _proxies(found.proxies),
        "warnings": list(found.warnings),
        "data": found.data,
    }


def scores_document(scores: Scores | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    listed = (scores.constant, *scores.laws)
    return {
        "method": "expanding window: each block of days is forecast from the days before it",
        "forecasts": scores.n,
        "blocks": scores.folds,
        "losses": {score.law: _score(score) for score in listed},
    }


def write(path: Path, document: dict[str, Any]) -> None:
    """Writes the file, whole or not at all; the same document gives the same bytes.

    Raises DataError where it cannot be written.
    """
    import yaml

    from research.store import atomic

    class Dumper(yaml.SafeDumper):
        """Rows of numbers on one line, everything else one to a line."""

    def row(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
        numbers = bool(values) and all(value is None or isinstance(value, int | float) for value in values)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=numbers)

    Dumper.add_representer(list, row)
    text = yaml.dump(plain(document), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as partial:
            partial.write_text(HEADER + text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def read_slippage(path: Path) -> tuple[dict[str, Any], str]:
    """The `slippage` settings of a calibration file, and 16 hexadecimal digits over its content.

    Raises ConfigError naming the file where it is absent or is no calibration.
    """
    document = yaml_text.read(path)
    data = document.data
    if not (isinstance(data, dict) and data.get("kind") in KINDS and isinstance(data.get("slippage"), dict)):
        raise ConfigError(f"{path}: is not a calibration: `fillwright calibrate` writes one, with kind and slippage")
    digest = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    return dict(data["slippage"]), digest


def plain(value: Any) -> Any:
    """Numbers to six significant digits, NaN to null, times as they are: what goes into YAML and JSON."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value


def moments(start_ns: int, end_ns: int) -> dict[str, str]:
    """A period for people, to the second."""
    return {"start": iso(start_ns // 10**9 * 10**9), "end": iso(-(-end_ns // 10**9) * 10**9)}


def _fit(found: Fit) -> dict[str, Any]:
    rows = zip(found.names, found.values, found.standard_errors, found.intervals, found.robust, strict=True)
    return {
        **{
            name: {"value": value, "standard_error": error, "interval": list(interval), "robust": robust}
            for name, value, error, interval, robust in rows
        },
        "r2": found.r2,
        "scale": found.scale,
    }


def _slope(found: Slope) -> dict[str, Any]:
    return {
        "value": found.value,
        "standard_error": found.se,
        "interval": list(found.interval),
        "t": found.t,
        "r2": found.r2,
        "lags": found.lags,
        "n": found.n,
    }


def _proxies(found: Proxies) -> dict[str, Any]:
    return {
        "by_traders": {
            str(n): {"orders": one.n, **_fit(one)["coefficient"]} for n, one in zip(TRADERS, found.fits, strict=True)
        },
        "stable": found.stable,
        "credible": list(found.credible),
        "middle": found.coefficient,
        "out_of_sample": scores_document(found.scores),
    }


def _score(score: Score) -> dict[str, Any]:
    return {
        "squared_error": score.squared,
        "pinball_bps": score.pinball,
        "skill": score.skill,
        "skill_interval": list(score.interval),
    }
