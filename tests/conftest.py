"""Settings for the whole suite: hypothesis without an eye on the clock, and in CI the same examples in every run."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
settings.register_profile("explore", PATIENT)
settings.register_profile("repeatable", PATIENT, derandomize=True, database=None)
settings.load_profile("repeatable" if os.environ.get("CI") else "explore")

# A shell that starts the suite in the background has it, and every process that a test starts, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
