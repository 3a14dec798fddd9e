"""Scripts that are no part of a package, loaded by their path: benchmarks/*.py and docs/*.py."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def script(path: str) -> Any:
    """The module of a script, `benchmarks/tracking.py`, named so that it hides no other."""
    name = "script_" + Path(path).stem
    if name not in sys.modules:
        spec = spec_from_file_location(name, ROOT / path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no script")
        module = module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look themselves up here
        spec.loader.exec_module(module)
    return sys.modules[name]
