"""JSON files: plain numbers, and null where there is none."""

import json
import math
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """`value` as JSON data: NumPy types as Python's, nan and infinities as None, at any depth."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Any, value: Any) -> None:
    """Writes `value` as strict JSON."""
    path.write_text(json.dumps(plain(value), indent=2, allow_nan=False))
