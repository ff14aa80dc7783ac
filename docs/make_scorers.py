"""Write docs/scorers.md, docs/reference.md, the JSON Schemas and the workflow of docs/ci.md from the program.

python docs/make_scorers.py
"""

import json
import re
from pathlib import Path

from evalkit.cli.reference import SCORERS_HEAD, reference, scorer_section, scorers
from evalkit.monitor.schema import monitor_schema
from evalkit.operations.init_project import BASELINE, NO_COMMIT, workflow_text
from evalkit.store.folder import BASELINES
from evalkit.suite.schema import suite_schema

HERE = Path(__file__).parent
HEAD = f"# Scorers\n\nWritten by `python docs/make_scorers.py` from the scorers themselves. {SCORERS_HEAD}"


def scorers_page() -> str:
    """Return the page, with one section for each scorer."""
    return HEAD + "".join("\n" + scorer_section(name, target, "##") for name, target in scorers())


def schema_texts() -> dict[str, str]:
    """Return the JSON Schemas of a suite and of a monitor as texts, by file name."""
    schemas = {"suite.schema.json": suite_schema(), "monitor.schema.json": monitor_schema()}
    return {name: json.dumps(schema, indent=1) + "\n" for name, schema in schemas.items()}


def ci_page() -> str:
    """Return the guide with the workflow of `evalkit init` as its first block."""
    page = (HERE / "ci.md").read_text(encoding="utf-8")
    workflow = workflow_text("evals/suite.yaml", f"{BASELINES.as_posix()}/{BASELINE}", ("OWNER/evalkit", NO_COMMIT))
    return re.sub(r"```yaml\n.*?```", lambda _: f"```yaml\n{workflow}```", page, count=1, flags=re.DOTALL)


if __name__ == "__main__":
    (HERE / "scorers.md").write_text(scorers_page(), encoding="utf-8")
    (HERE / "reference.md").write_text(reference(), encoding="utf-8")
    (HERE / "ci.md").write_text(ci_page(), encoding="utf-8")
    for name, text in schema_texts().items():
        (HERE / name).write_text(text, encoding="utf-8")
