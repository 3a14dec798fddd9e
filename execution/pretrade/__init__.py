"""Before the trade: what an order will cost, how to schedule it, what to recommend."""
