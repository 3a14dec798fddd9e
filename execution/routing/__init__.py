"""The pure parts of the smart order router, which `execution.router` drives: rules, learning, decisions, venues."""
