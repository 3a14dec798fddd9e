"""What a parent order would send, before it is sent: the real machine played with perfect fills and expected volume."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Final

from core.contracts import FillEvent, OrderIntent
from core.instrument import Instrument
from execution.algorithm import Terms
from execution.base import RuleExecutor, default_instrument
from execution.contracts import ExecutionAlgorithm
from execution.events import Event, Market, Wake
from execution.parent import THIN, ParentOrder
from execution.plan import NS_PER_MS
from execution.sliced import SlicedExecutor

MOST_CHILDREN: Final = 10_000
MUCH: Final = 0.25  # of the volume: from here on our own trades are the market
FEWEST_POV_SLICES: Final = 20  # fewer miss the target by more than 5 % where nobody knows the volume curve


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewChild:
    """One child: when it goes out and how large it is.

    `cumulative`: the part of the parent that is sent with it. `limit_price` is indicative, at the price that was
    assumed; None for a market order. `expected_volume`: what others are expected to trade in its slice, base quantity;
    `participation`: our part of all volume in the slice; both None where nobody knows.
    """

    number: int
    slice_idx: int
    ts_ns: int
    lots: int
    quantity: float
    cumulative: float
    limit_price: float | None
    expected_volume: float | None
    participation: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The children that a parent would get, or the reason why it is refused before the first.

    `quantity` is in base, on the lot grid. `refusal` None: it can be worked. `remarks`: what differs from what was
    asked for, and what else a trader should know, in whole sentences.
    """

    algo: ExecutionAlgorithm
    instrument: Instrument
    price: float
    start_ns: int
    end_ns: int
    quantity: float = 0.0
    slices: int = 0
    style: str = ""
    profile_source: str | None = None
    trajectory: str | None = None
    children: tuple[PreviewChild, ...] = ()
    refusal: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The part of the quantity that the children sum to; 0 where there are none."""
        return self.children[-1].cumulative if self.children else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        origins = ("profile_source", "trajectory")
        fields = ("price", "start_ns", "end_ns", "quantity", "slices", "style", *origins, "share", "refusal")
        return {
            "algo": self.algo.to_dict(),
            "venue": self.instrument.venue,
            **{name: getattr(self, name) for name in fields},
            "remarks": self.remarks,
            "children": self.children,
        }


def preview(
    algo: ExecutionAlgorithm,
    executor: RuleExecutor,
    *,
    start_ns: int,
    price: float,
    expected_volume: float | None = None,
) -> Preview:
    """Plays a parent from `start_ns` at a market that stands at `price` and fills every child at once and in full.

    expected_volume: base quantity that others trade over the horizon, evenly; used where the executor's own history
    expects none. Volume then comes exactly as expected.

    Raises ValueError for parameters that the algorithm does not take. Terms that cannot be met are a `refusal`.
    """
    params = executor.params(algo)
    instrument = executor.instrument or default_instrument(algo.symbol)
    start_ns = start_ns if params.start_ts_ns is None else params.start_ts_ns
    end_ns = start_ns + algo.duration_seconds * 1_000_000_000
    blank = Preview(algo=algo, instrument=instrument, price=price, start_ns=start_ns, end_ns=end_ns)
    try:
        refusal = _refusal(algo, params, instrument, price)
        machine = None if refusal else executor.start(algo, start_ns=start_ns, price=price, execution_id="preview")
    except ValueError as error:
        refusal, machine = str(error), None
    if machine is None:
        return replace(blank, refusal=refusal)
    tape = _Tape(machine, instrument, expected_volume)
    children = _play(machine, tape, instrument, price)
    return replace(
        blank,
        quantity=instrument.qty(machine.quantity),
        slices=machine.plan.slices,
        style=_style(params),
        profile_source=machine.notes.get("profile_source"),
        trajectory=machine.notes.get("trajectory"),
        children=children,
        remarks=tuple(_remarks(algo, executor, params, machine, tape, children, price)),
    )


class _Tape:
    """The volume that is expected: the plan's own curve, else an even one, else none."""

    def __init__(self, machine: ParentOrder, instrument: Instrument, expected_volume: float | None) -> None:
        plan = machine.plan
        self._slices, self._horizon_ms = plan.slices, plan.horizon_ms
        self.curve = tuple(machine.curve.volume)
        if not self.curve and expected_volume is not None:
            total = instrument.lots(expected_volume)
            self.curve = tuple(total * (k + 1) // plan.slices for k in range(plan.slices))

    @property
    def total(self) -> int | None:
        return self.curve[-1] if self.curve else None

    def at(self, elapsed_ms: int) -> int:
        """Others' lots from the start to a moment, as far as slices that are over tell."""
        over = min(self._slices, max(0, elapsed_ms) * self._slices // self._horizon_ms)
        return self.curve[over - 1] if self.curve and over > 0 else 0

    def of_slice(self, index: int) -> int | None:
        if not self.curve or index >= len(self.curve):
            return None
        return self.curve[index] - (self.curve[index - 1] if index > 0 else 0)


def _play(machine: ParentOrder, tape: _Tape, instrument: Instrument, price: float) -> tuple[PreviewChild, ...]:
    half = price * (instrument.spread_bps or 0.0) / 2e4
    bid = max(1, instrument.ticks(max(price - half, instrument.price(1))))
    ask = max(bid, instrument.ticks_up(price + half))
    start_ns = machine.parent.start_ns
    sent: list[OrderIntent] = []
    now_ns: int | None = start_ns
    while now_ns is not None and not machine.ended and len(sent) < MOST_CHILDREN:
        own = machine.children.filled if machine.plan.own_in_tape else 0
        lots = tape.at((now_ns - start_ns) // NS_PER_MS) + own
        waiting: deque[Event] = deque((Market(now_ns, bid, ask, lots), Wake()))
        wake_ns = None
        while waiting and len(sent) < MOST_CHILDREN:
            step = machine.on(waiting.popleft(), now_ns)
            wake_ns = step.wake_ns
            for intent in step.commands:
                if intent.action == "new":
                    sent.append(intent)
                    waiting.append(_filled(intent, price, now_ns))
        now_ns = wake_ns
    return _children(machine, tape, instrument, sent)


def _filled(intent: OrderIntent, price: float, now_ns: int) -> FillEvent:
    paid = price if intent.limit_price is None else intent.limit_price
    return FillEvent(f"{intent.intent_id}-f", intent.intent_id, intent.symbol, intent.side, intent.qty, paid, now_ns)


def _children(
    machine: ParentOrder, tape: _Tape, instrument: Instrument, sent: list[OrderIntent]
) -> tuple[PreviewChild, ...]:
    children = []
    running = 0
    for number, intent in enumerate(sent):
        lots = instrument.lots(intent.qty)
        running += lots
        index = int(intent.meta["slice_idx"])
        others = None if machine.plan.display else tape.of_slice(index)
        children.append(
            PreviewChild(
                number=number,
                slice_idx=index,
                ts_ns=intent.ts_local_ns,
                lots=lots,
                quantity=intent.qty,
                cumulative=running / machine.quantity,
                limit_price=intent.limit_price,
                expected_volume=None if others is None else instrument.qty(others),
                participation=None if others is None else lots / (lots + others),
            )
        )
    return tuple(children)


def _refusal(algo: ExecutionAlgorithm, params: Any, instrument: Instrument, price: float) -> str | None:
    """Why the venue would take not even one child, with the least that it takes."""
    in_quote = params.quantity_currency == "quote"
    wanted = algo.total_quantity / (price * instrument.multiplier) if in_quote else algo.total_quantity
    lots, least = instrument.lots(wanted), instrument.min_lots(price)
    if lots >= least:
        return None
    need = instrument.qty(least)
    terms = []
    if float(instrument.min_qty) > 0:
        terms.append(f"a minimum quantity of {instrument.min_qty}")
    if instrument.min_notional > 0:
        terms.append(f"a minimum notional of {instrument.min_notional:g} at a price of {price:g}")
    why = f"{' and '.join(terms) or 'lots'} in steps of {instrument.lot}"
    at_least = f"{need:g}"
    if in_quote:
        money = need * price * instrument.multiplier
        at_least = f"{math.ceil(money * 100 - 1e-6) / 100:.2f} in quote currency, {need:g} in base"
    return f"quantity {algo.total_quantity:g} is below what the venue takes ({why}): the least is {at_least}"


def _remarks(
    algo: ExecutionAlgorithm,
    executor: RuleExecutor,
    params: Any,
    machine: ParentOrder,
    tape: _Tape,
    children: tuple[PreviewChild, ...],
    price: float,
) -> list[str]:
    plan, instrument = machine.plan, machine.instrument
    found: list[str] = []
    if params.quantity_currency == "base" and not math.isclose(instrument.qty(machine.quantity), algo.total_quantity):
        found.append(
            f"Lots are {instrument.lot}: {instrument.qty(machine.quantity):g} of {algo.total_quantity:g} can be traded."
        )
    if isinstance(executor, SlicedExecutor):
        terms = Terms(quantity=plan.quantity, horizon_ms=plan.horizon_ms, limit_ticks=0, start_ns=0)
        wanted = executor.wanted_slices(params, terms)
        if wanted > plan.slices:
            why = (
                f"{plan.quantity:,} lots give so many slices less than the venue's minimum of {plan.min_lots:,} "
                f"lot{'s' if plan.min_lots > 1 else ''} each"
                if plan.slices == max(1, plan.quantity // plan.min_lots)
                else f"so many in {algo.duration_seconds} s are shorter than the market's data can tell apart"
            )
            found.append(f"{wanted:,} slices were asked for, {plan.slices:,} larger ones are made: {why}.")
    limit = instrument.price(plan.limit_ticks)
    if limit and plan.side * (limit - price) < 0:
        where = "below" if plan.side > 0 else "above"
        found.append(
            f"The limit of {limit:g} is {where} the market at {price:g}: nothing trades until the market comes to it."
        )
    if plan.display:
        found.append(
            "Perfect fills: each clip is shown once enough of those before it has been filled, whenever that is."
        )
    if machine.plan.ratio_ppm and tape.total is None:
        found.append(
            "POV follows the volume as it trades, and nothing says how much that will be: there is no history. "
            "An expected volume shows the sizes for it."
        )
    elif machine.plan.ratio_ppm and not machine.curve.volume and plan.slices < FEWEST_POV_SLICES:
        found.append(
            f"{plan.slices} slices without a volume curve miss the target by more than 5 % where volume is uneven: "
            f"{FEWEST_POV_SLICES} or more keep within it."
        )
    found += _shortfall(params, machine, tape, children)
    most = max(children, key=lambda child: child.participation or 0.0, default=None)
    if most is not None and (most.participation or 0.0) > MUCH:
        found.append(
            f"Slice {most.slice_idx + 1} is {most.participation:.0%} of its volume: our own trades make the price "
            "there. max_participation caps it, a longer duration lowers it."
        )
    if len(children) >= MOST_CHILDREN:
        found.append(f"Only the first {MOST_CHILDREN:,} children are shown.")
    return found


def _shortfall(params: Any, machine: ParentOrder, tape: _Tape, children: tuple[PreviewChild, ...]) -> list[str]:
    """Why not all of the quantity is sent, and what would be enough."""
    done = sum(child.lots for child in children)
    if done >= machine.quantity or len(children) >= MOST_CHILDREN or (machine.plan.ratio_ppm and tape.total is None):
        return []
    qty = machine.instrument.qty
    found = []
    if THIN in machine.record.pauses:
        usual = qty(sorted(tape.of_slice(k) or 0 for k in range(machine.plan.slices))[machine.plan.slices // 2])
        found.append(
            f"It pauses where a slice trades less than {qty(machine.plan.min_volume):g}; the median one is expected "
            f"to trade {usual:g}: a lower min_volume_threshold or a longer interval_seconds would do."
        )
    line = f"{qty(done):g} of {qty(machine.quantity):g} ({done / machine.quantity:.1%}) can be done as things stand"
    name = "participation_rate" if machine.plan.ratio_ppm else "max_participation"
    if tape.total and (machine.plan.ratio_ppm or machine.plan.cap_ppm):
        of_total = getattr(params, "of_total", True)
        rate = machine.quantity / (machine.quantity * of_total + tape.total)
        remedy = f"{name} {math.ceil(rate * 1000) / 1000:g}" if rate <= 0.98 else "a smaller quantity"
        seconds = machine.plan.horizon_ms / 1000 * machine.quantity / done if done else math.inf
        longer = f", or a duration of about {duration_text(seconds)}" if seconds <= 24 * 3600 else ""
        smaller = f", or {qty(done):g} as the quantity" if done else ""
        return found or [f"{line}: {remedy} would do{longer}{smaller}."]
    return [*found, f"{line}: {machine.report().unfilled_reason or 'the rest is too small to be an order'}."]


def duration_text(seconds: float) -> str:
    """A length of time as people write it, rounded up to minutes beyond one: "4 h 10 min"."""
    if seconds < 60:
        return f"{math.ceil(seconds)} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part)


def _style(params: Any) -> str:
    if not hasattr(params, "style"):
        return "limit"
    rests = f"limit, after {params.rest_share:.0%} of the slice market"
    return {"market": "market", "limit": "limit", "limit_then_cross": rests}[params.style]
