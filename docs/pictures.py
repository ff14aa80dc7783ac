"""Take the picture of the README: the report of the regressed demonstration, in headless Chromium.

.venv/bin/python suites/demonstration.py && .venv/bin/python docs/pictures.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "report.png"
RUN = "compliance-regressed"
"""The suite of the demonstration whose report is shown."""


def main() -> None:
    """Photograph the newest report."""
    reports = sorted(ROOT.glob(f"reports/*/{RUN}/report.html"), key=lambda file: file.stat().st_mtime)
    if not reports:
        sys.exit("no report yet: run suites/demonstration.py first")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--hide-scrollbars",
            "--window-size=1200,900",
            "--virtual-time-budget=4000",
            f"--user-data-dir={profile}",
            f"--screenshot={PICTURE}",
            reports[-1].as_uri(),
        ]
        subprocess.run(command, check=True)  # noqa: S603 - our own command


if __name__ == "__main__":
    main()
