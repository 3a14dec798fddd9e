"""Settings for the whole suite: hypothesis without deadlines, and in CI the same examples in every run."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

settings.register_profile("explore", deadline=None)
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable" if os.environ.get("CI") else "explore")

# A shell that starts the suite in the background has it, and every process that a test starts, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
