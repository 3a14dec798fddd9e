"""Who sits at the loop's desk, in order of arrival, and who wants to be woken when: `execution.seats` as two lists.

The seats taken form a list by their numbers; the wakes a heap in order of time, then of seats, with one entry a seat.
"""

from __future__ import annotations

from execution.batch_tables import NEVER, NONE, Tables
from execution.kernel import kernel


@kernel
def take_seat(tables: Tables, number: int) -> None:
    seat, floor = tables.seats[number], tables.floors[0]
    seat.seated = 1
    seat.before = floor.last
    seat.after = NONE
    if floor.last == NONE:
        floor.first = number
    else:
        tables.seats[floor.last].after = number
    floor.last = number
    floor.seated += 1


@kernel
def leave_seat(tables: Tables, number: int) -> None:
    seat, floor = tables.seats[number], tables.floors[0]
    seat.seated = 0
    if seat.before == NONE:
        floor.first = seat.after
    else:
        tables.seats[seat.before].after = seat.after
    if seat.after == NONE:
        floor.last = seat.before
    else:
        tables.seats[seat.after].before = seat.before
    floor.seated -= 1
    floor.listening -= seat.listening
    wake_no_more(tables, number)


@kernel
def wake_at(tables: Tables, number: int, ts_ns: int) -> None:
    """The seat wants to be woken then, and not when it did before."""
    seat, floor = tables.seats[number], tables.floors[0]
    if seat.wake_ns == ts_ns:
        return
    later = seat.wake_ns != NEVER and ts_ns > seat.wake_ns
    seat.wake_ns = ts_ns
    at = seat.heap
    if at == NONE:
        at = floor.waking
        floor.waking += 1
        tables.wakes[at].number = number
        seat.heap = at
    tables.wakes[at].ts_ns = ts_ns
    if later:
        sink(tables, at)
    else:
        rise(tables, at)


@kernel
def wake_no_more(tables: Tables, number: int) -> None:
    """Takes a seat's wake out of the heap."""
    seat, floor = tables.seats[number], tables.floors[0]
    seat.wake_ns = NEVER
    at = seat.heap
    if at == NONE:
        return
    seat.heap = NONE
    floor.waking -= 1
    if at < floor.waking:
        last = tables.wakes[floor.waking]
        tables.wakes[at].ts_ns = last.ts_ns
        tables.wakes[at].number = last.number
        tables.seats[last.number].heap = at
        rise(tables, at)
        sink(tables, at)


@kernel
def rise(tables: Tables, at: int) -> None:
    while at > 0 and is_sooner(tables, at, (at - 1) // 2):
        swap(tables, at, (at - 1) // 2)
        at = (at - 1) // 2


@kernel
def sink(tables: Tables, at: int) -> None:
    while True:
        least = at
        for child in range(2 * at + 1, min(2 * at + 3, tables.floors[0].waking)):
            if is_sooner(tables, child, least):
                least = child
        if least == at:
            return
        swap(tables, at, least)
        at = least


@kernel
def is_sooner(tables: Tables, one: int, two: int) -> bool:
    a, b = tables.wakes[one], tables.wakes[two]
    sooner: bool = a.ts_ns < b.ts_ns or (a.ts_ns == b.ts_ns and a.number < b.number)
    return sooner


@kernel
def swap(tables: Tables, one: int, two: int) -> None:
    a, b = tables.wakes[one], tables.wakes[two]
    ts_ns, number = a.ts_ns, a.number
    a.ts_ns, a.number = b.ts_ns, b.number
    b.ts_ns, b.number = ts_ns, number
    tables.seats[a.number].heap = one
    tables.seats[b.number].heap = two
