"""Other engines and this one on the same work, in turn: `python -m benchmarks.peers`, docs/performance.md."""
