"""What executions cost, beyond the identity in `execution.tca`: markets, methods, comparisons, venues, and tables."""
