"""Files of other eval tools are compared as they are: the same grades decide as in a plain table."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import InputError
from evalkit.operations.compare_files import Comparing, compare_files
from evalkit.operations.run import Result

N = 40
OLD = [number % 10 != 0 for number in range(N)]
NEW = [number % 10 != 0 and number % 3 != 0 for number in range(N)]
"""Whether each answer is right; the new system breaks 12 of 40."""


def questions(n: int) -> list[str]:
    """One question a case."""
    return [f"Where is order {number}?" for number in range(n)]


def promptfoo(path: Path, passed: Sequence[bool], *, kind: str = "contains", label: str = "bot") -> Path:
    """What `promptfoo eval -o results.json` writes."""
    rows = []
    for number, (question, ok) in enumerate(zip(questions(len(passed)), passed, strict=True)):
        assertion = {"type": kind, "value": "Paris"}
        rows.append(
            {
                "testIdx": number,
                "promptIdx": 0,
                "provider": {"id": "exec:python3 answer.py", "label": label},
                "vars": {"question": question},
                "prompt": {"raw": question, "label": "p"},
                "response": {"output": "Paris" if ok else "Rome"},
                "success": ok,
                "score": float(ok),
                "failureReason": 0 if ok else 1,
                "latencyMs": 20,
                "gradingResult": {"componentResults": [{"pass": ok, "score": float(ok), "assertion": assertion}]},
                "testCase": {"vars": {"question": question}, "assert": [assertion]},
            }
        )
    path.write_text(
        json.dumps({"evalId": "e", "results": {"version": 3, "results": rows}, "config": {}}), encoding="utf-8"
    )
    return path


def log_of_inspect(passed: Sequence[bool], scorer: str = "includes") -> dict[str, Any]:
    """What inspect writes."""
    samples = [
        {
            "id": f"s{number}",
            "epoch": 1,
            "input": question,
            "target": "Paris",
            "messages": [],
            "output": {"completion": "Paris" if ok else "Rome"},
            "scores": {scorer: {"value": "C" if ok else "I", "answer": "x"}},
        }
        for number, (question, ok) in enumerate(zip(questions(len(passed)), passed, strict=True))
    ]
    return {"version": 2, "status": "success", "eval": {"task": "t", "model": "m", "scorers": []}, "samples": samples}


def inspect_json(path: Path, passed: Sequence[bool], *, scorer: str = "includes") -> Path:
    """A log in JSON."""
    path.write_text(json.dumps(log_of_inspect(passed, scorer)), encoding="utf-8")
    return path


def inspect_archive(path: Path, passed: Sequence[bool]) -> Path:
    """A log as a zip file."""
    log = log_of_inspect(passed)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({key: log[key] for key in ("version", "status", "eval")}))
        for sample in log["samples"]:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    return path


def deepeval_run(path: Path, passed: Sequence[bool], *, model: str | None = None, wrapped: bool = False) -> Path:
    """What deepeval leaves under `.deepeval`."""
    cases = [
        {
            "name": f"test_case_{number}",
            "input": question,
            "actualOutput": "Paris" if ok else "Rome",
            "success": ok,
            "metricsData": [
                {
                    "name": "Has City",
                    "threshold": 0.5,
                    "success": ok,
                    "score": float(ok),
                    "reason": "has Paris" if ok else "lacks Paris",
                    **({"evaluationModel": model} if model else {}),
                }
            ],
            "completionTime": 0.2,
            "order": number,
        }
        for number, (question, ok) in enumerate(zip(questions(len(passed)), passed, strict=True))
    ]
    run = {"testCases": cases, "testPassed": sum(passed)}
    path.write_text(json.dumps({"testRunData": run} if wrapped else run), encoding="utf-8")
    return path


def lm_eval(path: Path, passed: Sequence[bool]) -> Path:
    """What `--log_samples` writes."""
    rows = [
        {
            "doc_id": number,
            "doc": {"question": question},
            "target": "Paris",
            "arguments": [[question, {"until": ["\n"]}]],
            "resps": [["Paris" if ok else "Rome"]],
            "filtered_resps": ["Paris" if ok else "Rome"],
            "filter": "none",
            "metrics": ["exact_match"],
            "exact_match": float(ok),
            "doc_hash": "a",
        }
        for number, (question, ok) in enumerate(zip(questions(len(passed)), passed, strict=True))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def plain(path: Path, passed: Sequence[bool]) -> Path:
    """The same grades as a table."""
    rows = zip(questions(len(passed)), passed, strict=True)
    path.write_text(
        "input,correct\n" + "".join(f"{question},{str(ok).lower()}\n" for question, ok in rows), encoding="utf-8"
    )
    return path


WRITERS: dict[str, tuple[Callable[..., Path], str]] = {
    "promptfoo.json": (promptfoo, "pass"),
    "log.json": (inspect_json, "scores_includes"),
    "log.eval": (inspect_archive, "scores_includes"),
    "run.json": (deepeval_run, "scores_has_city"),
    "samples.jsonl": (lm_eval, "scores_exact_match"),
}


def compared(old: Path, new: Path, out: Path, **more: Any) -> Result:
    """Compare two files."""
    return compare_files(Comparing(before=str(old), after=str(new), **more), out)


@pytest.mark.parametrize("name", WRITERS)
def test_a_tools_file_decides_as_the_same_grades_in_a_table(name: str, tmp_path: Path) -> None:
    """By hand: 12 of 40 break, none is mended; the drop, its interval and the cases are those of the table."""
    write, metric = WRITERS[name]
    result = compared(write(tmp_path / f"old-{name}", OLD), write(tmp_path / f"new-{name}", NEW), tmp_path / "out")
    table = compared(plain(tmp_path / "old.csv", OLD), plain(tmp_path / "new.csv", NEW), tmp_path / "table")
    drops = {check.metric: check.drop for check in result.decision.checks if check.cohort == "overall" and check.drop}
    (expected,) = [check.drop for check in table.decision.checks if check.metric == "correct" and check.drop]
    assert drops[metric] == expected
    assert expected.value == pytest.approx(12 / 40)
    assert result.decision.outcome == table.decision.outcome == "blocked"
    assert result.decision.comparison is not None
    assert len(result.decision.comparison.new_failures) == 12
    assert result.manifest.imported is not None
    assert result.manifest.imported.judged == ()


def test_cases_are_paired_by_what_they_ask_where_a_tool_names_them_by_position(tmp_path: Path) -> None:
    """The tests of the later file are in another order; by position every case would ask something else."""
    for write, name in ((promptfoo, "p.json"), (deepeval_run, "d.json")):
        old, new = write(tmp_path / f"old-{name}", OLD), write(tmp_path / f"new-{name}", OLD)
        value = json.loads(new.read_text())
        rows = value["testCases"] if "testCases" in value else value["results"]["results"]
        rows.reverse()
        for number, row in enumerate(rows):
            row.update({"testIdx": number, "name": f"test_case_{number}"})
        new.write_text(json.dumps(value))
        result = compared(old, new, tmp_path / f"out-{name}")
        assert result.decision.comparison is not None
        assert (result.decision.comparison.n_paired, result.decision.outcome) == (N, "approved")


@pytest.mark.parametrize(
    ("write", "name", "more"),
    [
        (promptfoo, "p.json", {"kind": "llm-rubric"}),
        (promptfoo, "p.json", {"kind": "not-llm-rubric"}),
        (deepeval_run, "d.json", {"model": "gpt-4o", "wrapped": True}),
        (inspect_json, "i.json", {"scorer": "model_graded_qa"}),
    ],
)
def test_grades_of_a_model_are_marked(
    write: Callable[..., Path], name: str, more: dict[str, Any], tmp_path: Path
) -> None:
    """The file says that a model graded; nobody has to say it with --judge."""
    result = compared(
        write(tmp_path / f"o{name}", OLD, **more), write(tmp_path / f"n{name}", NEW, **more), tmp_path / "o"
    )
    assert result.manifest.imported is not None
    assert result.manifest.imported.judged != ()


def test_a_call_that_failed_is_an_error_and_no_fail(tmp_path: Path) -> None:
    """Three calls of the later run failed: they are no drop of the grade, and too many for a decision."""
    old, new = promptfoo(tmp_path / "o.json", OLD), promptfoo(tmp_path / "n.json", OLD)
    value = json.loads(new.read_text())
    for row in value["results"]["results"][1:4]:
        row.update({"failureReason": 2, "error": "429 from the provider", "success": False, "score": 0, "response": {}})
    new.write_text(json.dumps(value))
    result = compared(old, new, tmp_path / "out")
    assert result.summary.states.get("system_error") == 3, result.summary.states
    assert result.decision.outcome == "no decision"
    drops = [check.drop.value for check in result.decision.checks if check.metric == "pass" and check.drop]
    assert drops == [0.0]


def test_two_systems_of_one_file_are_compared_by_name(tmp_path: Path) -> None:
    """A table of promptfoo with two providers; without their names the message has the line to add."""
    both = promptfoo(tmp_path / "both.json", OLD, label="small")
    value = json.loads(both.read_text())
    other = json.loads(promptfoo(tmp_path / "x.json", NEW, label="large").read_text())
    value["results"]["results"] += [{**row, "promptIdx": 1} for row in other["results"]["results"]]
    both.write_text(json.dumps(value))
    result = compare_files(Comparing(before=str(both), system="system", systems=("small", "large")), tmp_path / "out")
    assert result.decision.outcome == "blocked"
    with pytest.raises(InputError, match="--system"):
        compare_files(Comparing(before=str(both)), tmp_path / "none")


def test_a_run_that_deepeval_really_writes(tmp_path: Path) -> None:
    """Written by its own classes: the passes and scores are those that it holds."""
    from deepeval.test_run.api import LLMApiTestCase, MetricData
    from deepeval.test_run.test_run import TestRun

    for name, passed in (("old.json", OLD), ("new.json", NEW)):
        cases = []
        for number, (question, ok) in enumerate(zip(questions(N), passed, strict=True)):
            case = LLMApiTestCase(name=f"test_case_{number}", input=question, actualOutput="a", order=number)
            data = MetricData(name="City", threshold=0.5, success=ok, score=float(ok), strictMode=False)
            case.update_metric_data(data)
            cases.append(case)
        run = TestRun(testFile="t.py", testCases=cases, metricsScores=[])
        (tmp_path / name).write_text(json.dumps(run.model_dump(by_alias=True, exclude_none=True, mode="json")))
    result = compared(tmp_path / "old.json", tmp_path / "new.json", tmp_path / "out")
    assert result.decision.comparison is not None
    assert len(result.decision.comparison.new_failures) == 12


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.eval", b"PK\x03\x04 cut off"),
        ("empty.json", b'{"evalId": "e", "config": {}, "results": {"results": []}}'),
        ("nothing.json", b'{"testCases": [{"metricsData": []}]}'),
        ("cut.json", b'{"evalId": "e", "results": {"results": [{"promptIdx": 0'),
        ("deep.json", b'{"evalId": "e", "results": ' + b'{"results":' * 5000 + b"[]" + b"}" * 5001),
    ],
)
def test_what_cannot_be_read_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    """Exit code 2 with the file and a fix, for each kind of damage."""
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InputError, match=name):
        compared(file, file, tmp_path / "out")


@pytest.mark.parametrize(
    ("flag", "given", "said"),
    [("sheet", "June", "--sheet: no workbook"), ("separator", ";", "--separator: no CSV file")],
)
def test_a_flag_that_no_file_takes_is_refused(flag: str, given: str, said: str, tmp_path: Path) -> None:
    """A sheet of a JSON file, or a separator of one, would be read as if it were followed."""
    file = promptfoo(tmp_path / "p.json", OLD)
    with pytest.raises(InputError, match=said):
        compared(file, file, tmp_path / "out", **{flag: given})
