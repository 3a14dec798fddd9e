"""The specification's example session, as it is printed there."""

from __future__ import annotations

SESSION = """\
# 1. Configure execution algorithms
cat > config/execution.yaml <<EOF
execution:
  algorithms:
    - type: TWAP
      default_slices: 10
      order_type: limit

    - type: VWAP
      lookback_days: 7
      min_volume_threshold: 1000

    - type: Iceberg
      visible_ratio: 0.1
      replenish_threshold: 0.5

    - type: POV
      target_pov: 0.2
      min_volume_threshold: 1000

  slippage:
    model: square_root
    impact_coefficient: 0.5

  routing:
    default_algo: TWAP
    large_order_threshold: 10000.0  # Use VWAP for orders > 10k USD
    urgency_threshold: 300  # seconds
EOF

# 2. Run backtest with execution simulation
python -m backtest.runner \\
    --strategy trendline_break_v1 \\
    --symbol ATOM/USDT \\
    --start 2025-01-01 \\
    --end 2025-09-30 \\
    --execution-config config/execution.yaml \\
    --capital 10000

# 3. Analyze execution performance
python -m execution.analyze \\
    --execution-reports var/backtest/executions.ndjson \\
    --output execution_analysis.csv

# 4. Compare algorithms
python -m execution.compare \\
    --reports var/backtest/executions.ndjson \\
    --benchmark vwap
"""
EXECUTION_YAML = SESSION.split("<<EOF\n")[1].split("EOF\n")[0]
