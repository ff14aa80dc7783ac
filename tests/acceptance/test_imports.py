"""Files as the real tools write them: everything is imported, the suite is sound, and figures are those of the tool."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "imports"))
from import_lab import Import, bytes_of, import_file

import evalkit
from evalkit import Score

DATA = Path(__file__).parents[3] / "shared" / "data" / "interop"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the files of other tools are not on this machine")


def imported(folder: Path, name: str, **more: object) -> Import:
    """Import a file twice; both times the same bytes."""
    (folder / "pyproject.toml").touch()
    first, second = (import_file(DATA / name, folder / out, **more) for out in ("a", "b"))
    assert bytes_of(first.folder) == bytes_of(second.folder)
    return first


def n_passed(made: Import) -> tuple[int, int]:
    """Rows whose every pass mark is met, and all rows, of a run of the first suite."""
    rows = [*evalkit.run(made.written.suites[0], out=made.folder.parent / "run", baseline="none").rows()]
    grades = [
        [each for each in row.scores.values() if isinstance(each, Score) and each.passed is not None] for row in rows
    ]
    return sum(bool(each) and all(grade.passed for grade in each) for each in grades), len(rows)


def test_promptfoo_config(tmp_path: Path) -> None:
    """6 of 6 assertions; weight 2 and the threshold are noted; no more YAML than in the config."""
    made = imported(tmp_path, "promptfooconfig.yaml")
    assert made.counts == {"case": (2, 2), "assertion": (6, 6), "system": (1, 1)}
    assert [what.partition(":")[0] for _, what in made.losses[:2]] == ["weight 2", "threshold 0.5"]
    assert [[next(iter(check)) for check in row["checks"]] for row in made.golden] == [
        ["contains", "regex", "not_contains", "latency"], ["exact", "length", "latency"],
    ]  # fmt: skip
    assert made.read("suite.yaml").count("\n") <= (DATA / "promptfooconfig.yaml").read_text().count("\n")


def test_promptfoo_results(tmp_path: Path) -> None:
    """Both tests pass here as there, on the stored outputs, with the scores that promptfoo gave."""
    made = imported(tmp_path, "promptfoo_results.json")
    assert made.counts == {"case": (2, 2), "assertion": (7, 7), "output": (2, 2)}
    assert [row["recorded"]["score"] for row in made.answers] == [1, 1]
    assert [len(row["recorded"]["assertions"]) for row in made.answers] == [4, 3]
    assert n_passed(made) == (2, 2)


@pytest.mark.parametrize("name", ["inspect_log.json", "inspect_log.eval"])
def test_inspect_logs(tmp_path: Path, name: str) -> None:
    """Accuracy 1 of the scorer `includes`, recorded and by our check; 73 and 44 tokens of each epoch, as it counted."""
    made = imported(tmp_path, name)
    assert made.counts == {"case": (1, 1), "output": (2, 2), "scorer": (1, 1)}
    assert made.losses == []
    assert [row["recorded"]["includes"]["value"] for row in made.answers] == [1.0, 1.0]
    assert [row["output"]["usage"]["input_tokens"] for row in made.answers] == [73, 73]
    assert [row["output"]["usage"]["output_tokens"] for row in made.answers] == [44, 44]
    assert [[step["kind"] for step in row["output"]["trajectory"]] for row in made.answers] == [
        ["llm", "tool", "llm"]
    ] * 2
    assert n_passed(made) == (2, 2)


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv"])
def test_deepeval_goldens(tmp_path: Path, suffix: str) -> None:
    """The three files hold the same golden, with its output, calls and expected calls."""
    made = imported(tmp_path, f"deepeval_goldens.{suffix}")
    assert made.counts == {"case": (1, 1), "output": (1, 1)}
    assert made.losses == []
    assert made.golden == [
        {
            "id": "hours-1",
            "input": "When do you open?",
            "reference": "At 9 on weekdays.",
            "reference_contexts": ["Open 9-17."],
            "expected_tool_calls": [{"name": "hours", "arguments": {"day": "mon"}}],
            "cohorts": {"topic": "hours"},
        }
    ]
    calls = [{"name": "hours", "arguments": {"day": "mon"}, "result": "9-17"}]
    assert made.answers[0]["output"] == {"text": "At 9.", "contexts": ["Open 9-17."], "tool_calls": calls}


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_deepeval_conversations(tmp_path: Path, suffix: str) -> None:
    """A user with goal and persona, and the stored turns."""
    made = imported(tmp_path, f"deepeval_conversations.{suffix}")
    assert made.counts == {"case": (1, 1), "output": (1, 1)}
    assert made.losses == []
    assert made.golden[0]["user"]["persona"] == "Impatient, short sentences."
    assert [message["role"] for message in made.answers[0]["output"]["messages"]] == ["user", "assistant"]
    assert n_passed(made) == (1, 1)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_ragas_samples(tmp_path: Path, suffix: str) -> None:
    """Question, passages, response and reference; the table's lists are Python's."""
    made = imported(tmp_path, f"ragas_single.{suffix}")
    assert made.counts == {"case": (1, 1), "output": (1, 1)}
    assert made.losses == []
    assert made.golden[0]["reference_contexts"] == ["Open 9-17."]
    assert made.answers[0]["output"] == {"text": "At 9.", "contexts": ["Open 9-17."]}


def test_ragas_conversations(tmp_path: Path) -> None:
    """Calls of the agent beside the expected ones."""
    made = imported(tmp_path, "ragas_multi.jsonl")
    assert made.losses == []
    expected = [{"name": "get_order", "arguments": {"order_id": "A-17"}}]
    assert made.golden[0]["expected_tool_calls"] == expected
    (row,) = evalkit.run(made.written.suites[0], out=tmp_path / "run", baseline="none").rows()
    match = row.scores["tool_calls.match"]
    assert isinstance(match, Score)
    assert match.value == 1.0


def test_lm_eval(tmp_path: Path) -> None:
    """The filtered response and the score that lm-eval gave it."""
    made = imported(tmp_path, "lm_eval_samples_toy.jsonl")
    assert (made.counts, made.losses) == ({"case": (1, 1), "output": (1, 1)}, [])
    assert made.answers[0]["recorded"] == {"exact_match": 1.0}
    assert n_passed(made) == (1, 1)


def test_openai_evals(tmp_path: Path) -> None:
    """A chat with a system message, and several right answers."""
    made = imported(tmp_path, "openai_evals.jsonl")
    assert (made.counts, made.losses) == ({"case": (2, 2)}, [])
    assert [row["reference"] for row in made.golden] == [["At 9."], ["closed", "not at all"]]


def test_langsmith(tmp_path: Path) -> None:
    """Examples with the outputs of their runs; 40 and 12 tokens, counted once."""
    made = imported(tmp_path, "langsmith_examples.jsonl", answers=DATA / "langsmith_runs.jsonl")
    assert (made.counts, made.losses) == ({"case": (1, 1), "output": (1, 1)}, [])
    output = made.answers[0]["output"]
    assert output["usage"] == {"input_tokens": 40, "output_tokens": 12}
    tools = [step for step in output["trajectory"] if step["kind"] == "tool"]
    assert [(step["name"], step["arguments"]) for step in tools] == [("get_order", {"order_id": "A-17"})]
    assert n_passed(made) == (1, 1)


def test_langsmith_runs(tmp_path: Path) -> None:
    """Runs alone are cases too."""
    made = imported(tmp_path, "langsmith_runs.jsonl")
    assert (made.counts, made.losses) == ({"case": (1, 1), "output": (1, 1)}, [])


def test_adk(tmp_path: Path) -> None:
    """A scripted talk with its calls and state, and a played one."""
    made = imported(tmp_path, "adk.evalset.json")
    assert (made.counts, made.losses) == ({"case": (2, 2)}, [])
    assert made.golden[0]["expected_state"] == {"orders.A-17": "refunded"}
    assert made.golden[1]["user"]["opening"] == "I want a refund."


def test_mlflow(tmp_path: Path) -> None:
    """40 and 12 tokens, the call with its result, and ann's verdict as a label."""
    made = imported(tmp_path, "mlflow_trace.json")
    assert made.counts == {"case": (1, 1), "output": (1, 1), "label": (1, 1)}
    assert made.losses == []
    output = made.answers[0]["output"]
    assert output["usage"] == {"input_tokens": 40, "output_tokens": 12}
    assert [step["result"] for step in output["trajectory"] if step["kind"] == "tool"] == [{"total": 20}]
    assert '"scorer": "correct", "label": "pass", "rater": "ann"' in made.read("labels.jsonl")
    assert n_passed(made) == (1, 1)


def test_the_command(tmp_path: Path) -> None:
    """The list is on the console, in 80 columns, with exit code 0; with --strict it is 2 and nothing is written."""
    words = [sys.executable, "-m", "evalkit", "import", str(DATA / "promptfooconfig.yaml"), "--out", "out"]
    strict = subprocess.run([*words, "--strict"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (strict.returncode, strict.stdout) == (2, "")
    assert "weight 2" in strict.stderr
    assert not (tmp_path / "out").exists()
    found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ})
    assert found.returncode == 0, found.stderr
    assert "  assertions  6 of 6\n" in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 80
