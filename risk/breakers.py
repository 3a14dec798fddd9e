"""What stays shut until somebody re-arms it by name: repeated executions of one key, and a venue that rejects."""

from __future__ import annotations

from collections import deque

from core import checks
from core.contracts import OrderIntent
from risk.limits import RejectLimits, RepeatLimits
from risk.windows import Window

NS_PER_S = 1_000_000_000
REJECTS = "rejects"


def repeat_key(intent: OrderIntent) -> str:
    """The name under which a strategy's orders of one symbol and side are disabled and re-armed."""
    return f"{intent.strategy_id} {intent.symbol} {intent.side}"


class Breakers:
    """`disabled`: key -> why. Limits that are not set count nothing here: their rules refuse everything."""

    def __init__(self, repeats: RepeatLimits, rejects: RejectLimits) -> None:
        self.disabled: dict[str, str] = {}
        self._repeats = repeats
        self._rejects = rejects
        self._executions: dict[str, Window] = {}
        self._sent: deque[tuple[str, int]] = deque(maxlen=rejects.last_orders or 1)
        self._rejected: set[str] = set()

    def sent(self, intent_id: str, now_ns: int) -> None:
        """An order has been let through."""
        if self._rejected and len(self._sent) == self._sent.maxlen:
            self._rejected.discard(self._sent[0][0])
        self._sent.append((intent_id, now_ns))

    def executed(self, intent: OrderIntent, ts_ns: int) -> None:
        """An order has had its first fill."""
        most, window_s = self._repeats.max_executions, self._repeats.window_s
        if most is None or window_s is None:
            return
        key = repeat_key(intent)
        window = self._executions.setdefault(key, Window())
        window.add(ts_ns)
        if window.count(ts_ns, int(window_s * NS_PER_S)) > most:
            self.disabled.setdefault(key, f"more than {most} orders of {key} were executed within {window_s:g} s")

    def rejected(self, intent_id: str, ts_ns: int) -> None:
        """The venue has rejected an order."""
        limits = self._rejects
        if limits.max_rejects is None or limits.window_s is None or limits.last_orders is None:
            return
        self._rejected.add(intent_id)
        since_ns = ts_ns - int(limits.window_s * NS_PER_S)
        recent = {name for name, sent_ns in self._sent if sent_ns > since_ns}
        count = len(self._rejected & recent)
        if count > limits.max_rejects:
            why = f"the venue rejected {count} of the last {limits.last_orders} orders within {limits.window_s:g} s"
            self.disabled.setdefault(REJECTS, why)
        self._rejected &= {name for name, _ in self._sent}

    def rearm(self, key: str, by: str, reason: str) -> None:
        """Raises ValueError without a name and a reason, or for a key that is not disabled."""
        checks.named("by", by)
        checks.named("reason", reason)
        if key not in self.disabled:
            known = ", ".join(sorted(self.disabled)) or "nothing"
            raise ValueError(f"{key!r} is not disabled; disabled: {known}")
        del self.disabled[key]
        if key == REJECTS:
            self._sent.clear()
            self._rejected.clear()
        else:
            self._executions.pop(key, None)
