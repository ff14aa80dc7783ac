"""Check an answer before it is delivered, against thresholds from labels.

```python
import evalkit

guard = evalkit.guard.load("guard.json")
found = await guard.check(question, answer, contexts)
if found.action == "block":
    answer = "I cannot answer that from our documents."
```
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from evalkit.guard.check import Guard, GuardCounts, GuardResult
from evalkit.guard.levels import CheckedClaim, open_levels
from evalkit.guard.settings import read_guard

__all__ = ["CheckedClaim", "Guard", "GuardCounts", "GuardResult", "load"]


def load(path: str | Path, *, env: Mapping[str, str] | None = None) -> Guard:
    """Load a guard from the file that `evalkit monitor thresholds` wrote.

    A model for entailment is loaded here; the judge is not asked before the first check that has time for it.

    Args:
        path: the file.
        env: environment with the key of the judge. Default: that of the process.

    Raises:
        InputError: the file cannot be read, or its thresholds belong to scores of another version or model.
    """
    file = Path(path)
    settings = read_guard(file, str(path))
    levels = open_levels(settings, os.environ if env is None else env, file.parent, str(path))
    return Guard(settings, levels)
