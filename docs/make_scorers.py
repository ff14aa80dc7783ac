"""Write docs/scorers.md, docs/reference.md and docs/suite.schema.json from the program itself.

python docs/make_scorers.py
"""

import json
from pathlib import Path

from evalkit.cli.reference import SCORERS_HEAD, reference, scorer_section, scorers
from evalkit.suite.schema import suite_schema

HERE = Path(__file__).parent
HEAD = f"# Scorers\n\nWritten by `python docs/make_scorers.py` from the scorers themselves. {SCORERS_HEAD}"


def scorers_page() -> str:
    """The page, one section a scorer."""
    return HEAD + "".join("\n" + scorer_section(name, target, "##") for name, target in scorers())


def schema_text() -> str:
    """The JSON Schema of a suite as a file."""
    return json.dumps(suite_schema(), indent=1) + "\n"


if __name__ == "__main__":
    (HERE / "scorers.md").write_text(scorers_page(), encoding="utf-8")
    (HERE / "reference.md").write_text(reference(), encoding="utf-8")
    (HERE / "suite.schema.json").write_text(schema_text(), encoding="utf-8")
