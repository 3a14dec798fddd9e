"""`config/execution.yaml`: what it may say, and what it says of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ConfigError
from execution.config import (
    DEFAULT_ALGORITHMS,
    EXECUTOR_ARGUMENTS,
    ExecutionConfig,
    FillConfig,
    IcebergConfig,
    IsConfig,
    PovConfig,
    RoutingConfig,
    SlippageConfig,
    TwapConfig,
    load,
)
from execution.contracts import ALGO_TYPES
from tests.specification import EXECUTION_YAML

ROOT = Path(__file__).resolve().parents[1]


def read(tmp_path: Path, text: str) -> ExecutionConfig:
    path = tmp_path / "execution.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_the_file_of_the_specification_is_what_the_defaults_are(tmp_path: Path) -> None:
    """But for IS, which the specification does not have."""
    assert read(tmp_path, EXECUTION_YAML) == ExecutionConfig(algorithms=DEFAULT_ALGORITHMS[:4])
    assert DEFAULT_ALGORITHMS[4:] == (IsConfig(),)


def test_the_shipped_file_can_be_read_and_names_every_algorithm() -> None:
    config = load(ROOT / "config" / "execution.yaml")
    assert {algorithm.type for algorithm in config.algorithms} == set(ALGO_TYPES)


def test_an_algorithms_settings_become_its_executors_arguments() -> None:
    assert ExecutionConfig().defaults("TWAP") == {"slice_count": 10, "order_type": "limit"}
    assert set(EXECUTOR_ARGUMENTS) == set(ALGO_TYPES)
    assert all(ExecutionConfig().defaults(name) for name in ALGO_TYPES)


def test_an_algorithm_that_is_not_configured_says_so() -> None:
    config = ExecutionConfig(algorithms=(TwapConfig(),))
    with pytest.raises(ValueError, match="algorithm POV is not configured under"):
        config.defaults("POV")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("execution:\n  slipage: {}\n", "slipage.*did you mean 'slippage'"),
        ("execution:\n  slippage:\n    model: cubic\n", r"execution\.slippage\.model.*cubic"),
        (
            "execution:\n  slippage:\n    impact_coefficient: -1\n",
            "impact_coefficient: must be a finite number of at least 0",
        ),
        ("execution:\n  slippage:\n    permanent_share: 1.5\n", "permanent_share: must be between 0 and 1, was 1.5"),
        ("execution:\n  fills:\n    max_participation: 0\n", "max_participation: must be above 0 and at most 1, was 0"),
        ("execution:\n  fills:\n    limit_rule: always\n", "limit_rule.*always"),
        (
            "execution:\n  fills:\n    assumed_spread_bps: -5\n",
            "assumed_spread_bps: must be a finite number of at least 0",
        ),
        ("execution:\n  routing:\n    default_algo: TWOP\n", "default_algo.*TWOP"),
        ("execution:\n  routing:\n    duration_seconds: 0\n", "duration_seconds: must be between 1 and 86400, was 0"),
        (
            "execution:\n  algorithms:\n    - type: TWAP\n      default_slices: 0\n",
            "default_slices: must be between 1 and",
        ),
        (
            "execution:\n  algorithms:\n    - type: TWAP\n    - type: TWAP\n",
            "must name each type once, was TWAP 2 times",
        ),
        (
            "execution:\n  algorithms:\n    - type: VWAP\n",
            "default_algo must be one of the algorithms listed .VWAP., was TWAP",
        ),
        ("execution:\n  algorithms: []\n", "default_algo must be one of the algorithms listed .none., was TWAP"),
        ("execution: [\n", "execution.yaml"),
    ],
)
def test_a_mistake_is_one_line_with_file_place_and_value(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as failure:
        read(tmp_path, text)
    assert "execution.yaml" in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (TwapConfig, "default_slices", 100_001),
        (IcebergConfig, "visible_ratio", 0.0),
        (IcebergConfig, "replenish_threshold", 1.01),
        (PovConfig, "target_pov", 1.0),
        (PovConfig, "min_volume_threshold", -1.0),
        (SlippageConfig, "impact_coefficient", float("nan")),
        (FillConfig, "max_participation", 1.01),
        (RoutingConfig, "large_order_threshold", 0.0),
        (RoutingConfig, "urgency_threshold", -1.0),
        (RoutingConfig, "duration_seconds", 86_401),
    ],
)
def test_values_out_of_range_name_their_field(kind: type, field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        kind(**{field: value})
