"""Measure the CPU of `evalkit --help` and `--version`, and of a bare typer program with three commands.

python benchmarks/startup.py
"""

import statistics
import sys
import tempfile
from pathlib import Path

from measure import measure

BARE = """\
import typer
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
@app.command()
def one(name: str = "x") -> None: "One."
@app.command()
def two(name: str = "x") -> None: "Two."
@app.command()
def three(name: str = "x") -> None: "Three."
app()
"""
ROUNDS = 11


def main() -> None:
    """Measure in turn and print medians."""
    with tempfile.TemporaryDirectory(prefix="evalkit-startup-") as folder:
        program = Path(folder) / "bare.py"
        program.write_text(BARE, encoding="utf-8")
        commands = {
            "bare typer --help": [sys.executable, str(program), "--help"],
            "evalkit --help": [sys.executable, "-m", "evalkit", "--help"],
            "evalkit --version": [sys.executable, "-m", "evalkit", "--version"],
        }
        rounds = [{name: measure(words).cpu_s for name, words in commands.items()} for _ in range(ROUNDS)]
    for name in commands:
        median = statistics.median(one[name] for one in rounds)
        ratio = statistics.median(one[name] / one["bare typer --help"] for one in rounds)
        print(f"{name:<20} {median:.3f} s CPU  x{ratio:.2f}")


if __name__ == "__main__":
    main()
