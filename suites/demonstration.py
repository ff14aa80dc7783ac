"""The demonstration: run a compliance assistant, keep the run as baseline, then let a stale index be caught.

Ends with 0 exactly when the first run is approved and the second one is blocked.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

SUITES = Path(__file__).parent
EVALKIT = [sys.executable, "-m", "evalkit"]
APPROVED, BLOCKED = 0, 1


def main() -> int:
    """Run both suites and compare their exit codes with what they should be."""
    runs = Path(tempfile.mkdtemp(prefix="evalkit-", dir=_reports()))
    good, stale = runs / "compliance", runs / "regressed"
    first = _evalkit("run", SUITES / "compliance.yaml", "--out", good, "--baseline", "none")
    second = _evalkit("run", SUITES / "compliance-regressed.yaml", "--out", stale, "--baseline", good)
    behaved = (first, second) == (APPROVED, BLOCKED)
    sys.stdout.write(f"\nfirst run: exit {first}, with a stale index: exit {second}")
    sys.stdout.write(" (as it should be)\n" if behaved else " (expected 0 and 1)\n")
    return 0 if behaved else 1


def _reports() -> Path:
    reports = SUITES.parent / "reports"
    reports.mkdir(exist_ok=True)
    return reports


def _evalkit(*words: object) -> int:
    command = [str(word) for word in words]
    sys.stdout.write(f"\n$ evalkit {' '.join(command)}\n")
    sys.stdout.flush()
    return subprocess.run([*EVALKIT, *command], check=False).returncode  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main())
