"""Memory of a process that must answer at once."""

from __future__ import annotations

import gc


def set_aside() -> None:
    """To call once everything is loaded and recovered: what is there by now stays, and the collector leaves it alone.

    Libraries and recovered history are hundreds of thousands of objects, and each full collection would look at all of
    them, for milliseconds in which no order is sent. What comes later is collected as ever.
    """
    gc.collect()
    gc.freeze()
