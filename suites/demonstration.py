"""Run the demonstration: approve a system, then block a change for the worse against that run.

The first system is a compliance assistant whose index goes stale, the second an order desk agent that pays large
refunds in parts. The exit code is 0 only if both are approved and both changes are blocked.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

SUITES = Path(__file__).parent
EVALKIT = [sys.executable, "-m", "evalkit"]
APPROVED, BLOCKED = 0, 1


def main() -> int:
    """Run each suite and its changed copy, and compare the exit codes with the expected ones."""
    runs = Path(tempfile.mkdtemp(prefix="evalkit-", dir=_reports()))
    found = {
        "compliance, with a stale index": _before_and_after(runs, "compliance"),
        "agent, with refunds paid in parts": _before_and_after(runs, "agent"),
    }
    sys.stdout.write("\n")
    for name, (first, second) in found.items():
        behaved = "as it should be" if (first, second) == (APPROVED, BLOCKED) else "expected 0 and 1"
        sys.stdout.write(f"{name}: exit {first} before, {second} after ({behaved})\n")
    return 0 if set(found.values()) == {(APPROVED, BLOCKED)} else 1


def _before_and_after(runs: Path, suite: str) -> tuple[int, int]:
    """Run a suite, then its changed copy against that run; return both exit codes."""
    before, after = runs / suite, runs / f"{suite}-regressed"
    first = _evalkit("run", SUITES / f"{suite}.yaml", "--out", before, "--baseline", "none")
    second = _evalkit("run", SUITES / f"{suite}-regressed.yaml", "--out", after, "--baseline", before)
    return first, second


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
