"""Run `evalkit run` or `evalkit compare` inside a job, and write everything that the job shows.

It is called as `python -m evalkit.ci.gate`.

Reads its inputs and the files to write to from the environment. It ends with 0 even for a blocked run, so that the
report is kept; the last step of the action ends with the run's exit code.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.ci.annotations import annotations_of, case_annotations, command
from evalkit.disk.files import read_file
from evalkit.disk.paths import project_of
from evalkit.errors import ExitCode
from evalkit.report.page import ICONS, NEXT, Code, Page, Section, markdown, read_page, to_json
from evalkit.store.folder import AFTER, COMMENT, DECISION, MANIFEST, MARKDOWN, REPORT, SYSTEMS, RunFolder
from evalkit.systems.process import RUNNER_FILES
from evalkit.systems.secrets import redact, secrets_of

COMMENT_WHEN = ("on-change", "always", "failures", "off")
FAIL_ON = ("fail", "no-decision", "never")
_NEEDED = ("RUNNER_TEMP", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
_SAID_LINES = 30
_OUR_FLAGS = ("--out", "--json", "--progress", "--resume", "--no-report", "--baseline")
_OUR_VARIABLES = {"EVALKIT_" + flag.removeprefix("--").removeprefix("no-").upper() for flag in _OUR_FLAGS}
"""Environment variables of these flags."""


@dataclass(frozen=True)
class Ended:
    """The results of one run."""

    exit_code: int
    """Exit code; 0 only with a complete decision.json that approves."""
    outcome: str
    """The outcome; empty if there is no decision."""
    new_failures: tuple[str, ...] | None
    """Ids of newly failing cases, worst first; `None` if nothing was compared."""
    checks: tuple[Mapping[str, Any], ...]
    page: Page


def main(env: Mapping[str, str]) -> int:
    """Run, conclude, and write summary, outputs, annotations and the page for the comment."""
    problems = list(_problems(env))
    if problems:
        sys.stdout.write("".join(command("error", problem) for problem in problems))
        if "GITHUB_OUTPUT" in env:
            _append(Path(env["GITHUB_OUTPUT"]), f"decision=none\nexit-code={int(ExitCode.INVALID_INPUT)}\n")
        return int(ExitCode.INVALID_INPUT)
    folder = Path(tempfile.mkdtemp(prefix="evalkit.", dir=env["RUNNER_TEMP"]))
    run = folder / "run" / AFTER if env["COMPARE"] else folder / "run"
    decided_by = Path(env["COMPARE"] or env["SUITE"])
    # Written first, so that a cancelled job keeps its rows.
    _append(Path(env["GITHUB_OUTPUT"]), f"run-folder={folder / 'run'}\ncomment-path={folder / 'comment' / COMMENT}\n")
    code, said = _run(_words(env, folder / "run"), env)
    ended = conclude(run, code, said, str(decided_by))
    page = for_readers(ended.page, folder / "run", env["ARTIFACT_NAME"], env.get("GITHUB_RUN_ID", ""))
    ended = replace(ended, page=page)
    foot = f"Full report: artifact `{env['ARTIFACT_NAME']}`"
    _append(Path(env["GITHUB_STEP_SUMMARY"]), markdown(ended.page, foot=foot))
    if env["COMMENT"] != "off":
        (folder / "comment").mkdir()
        text = to_json(replace(ended.page, news=is_news(ended, env["COMMENT"])))
        (folder / "comment" / COMMENT).write_text(text, encoding="utf-8")
    workspace = Path(env.get("GITHUB_WORKSPACE", "."))
    told = annotations_of(ended.checks, decided_by, workspace)
    if ended.exit_code and ended.new_failures and (run / MANIFEST).is_file():
        advisory = frozenset(_json(run / MANIFEST).get("advisory", ()))
        root = Path.cwd() if env["COMPARE"] else project_of(decided_by.parent)
        told += case_annotations(RunFolder(run).rows(), ended.new_failures, root, workspace, advisory)
    sys.stdout.write("".join(told))
    _append(Path(env["GITHUB_OUTPUT"]), _outputs(ended, run))
    return 0


def conclude(folder: Path, code: int, said: Sequence[str], suite: str) -> Ended:
    """Derive the result from a run's exit code and folder; 0 counts only with a complete decision.json.

    Args:
        folder: folder of the run; it may be missing or incomplete.
        code: exit code of the process.
        said: its last lines on stderr.
        suite: path of the suite, for the name of a run without a manifest.
    """
    decision, manifest = _json(folder / DECISION), _json(folder / MANIFEST) or _json(folder / SYSTEMS)
    complete = decision.get("outcome") in ICONS and decision.get("run_id") == manifest.get("run_id")
    if complete and decision.get("exit_code") == code:
        page = _page(folder) or _bare_page(str(manifest.get("suite")), str(decision["outcome"]), [])
        if (folder / SYSTEMS).is_file():
            return Ended(code, decision["outcome"], _of_systems(folder, decision), (), page)
        found = decision["comparison"]
        checks = tuple(decision["checks"])
        new = None if found is None else tuple(_worst_first(found["new_failures"], checks))
        return Ended(code, decision["outcome"], new, checks, page)
    code = code or int(ExitCode.INTERNAL_ERROR)
    page = _bare_page(str(manifest.get("suite") or _name_of(Path(suite))), "no decision", said, code)
    return Ended(code, "", None, (), page)


def _of_systems(folder: Path, decision: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the newly failing cases of all release systems, as `system: id`; `None` if nothing was compared."""
    places = {each["name"]: each["folder"] for each in _json(folder / SYSTEMS)["systems"]}
    found = {name: _json(folder / places[name] / DECISION).get("comparison") for name in decision["release"]}
    compared = {name: each["new_failures"] for name, each in found.items() if each is not None}
    return tuple(f"{name}: {id_}" for name, ids in compared.items() for id_ in ids) if compared else None


def for_readers(page: Page, folder: Path, artifact: str, run_id: str) -> Page:
    """Return a page whose commands work elsewhere: the folder of the run is gone when somebody reads them.

    Args:
        page: page of the run.
        folder: folder of the run.
        artifact: artifact that keeps it.
        run_id: number of the job's run; without it, the command that fetches the run asks which one.
    """
    return replace(page, sections=tuple(_fetched(each, folder, artifact, run_id) for each in page.sections))


def _fetched(section: Section, folder: Path, artifact: str, run_id: str) -> Section:
    """Return a section whose bullets name the artifact, after the one that downloads it; or the section as it is."""
    here = shlex.quote(str(folder))
    bullets = tuple(
        tuple(Code(part.text.replace(here, artifact)) if isinstance(part, Code) else part for part in line)
        for line in section.bullets
    )
    if section.title != NEXT or bullets == section.bullets:
        return section
    download = " ".join(filter(None, ("gh run download", run_id, f"--name {artifact} --dir {artifact}")))
    return replace(section, bullets=(("fetch the run:", Code(download)), *bullets))


def _worst_first(new_failures: Sequence[str], checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the new failures in the order in which blocking checks name them, then the others."""
    named = [case_id for check in checks if check["outcome"] == "block" for case_id in check.get("case_ids", ())]
    new = set(new_failures)
    return list(dict.fromkeys([*(case_id for case_id in named if case_id in new), *new_failures]))


def _problems(env: Mapping[str, str]) -> list[str]:
    """Return the problems of the inputs."""
    found = [f"{name} is not set: this action needs a runner that sets it" for name in _NEEDED if not env.get(name)]
    for name, known in (("COMMENT", COMMENT_WHEN), ("FAIL_ON", FAIL_ON)):
        if env[name] not in known:
            found.append(f"input {name.lower().replace('_', '-')}: {env[name]!r}; write one of {', '.join(known)}")
    if bool(env["SUITE"]) == bool(env["COMPARE"]):
        found.append("inputs suite and compare: name one of them, a suite to run or a file of results to compare")
    if env["COMPARE"] and not env["BASELINE"]:
        fix = f"name the results before this change, such as git:origin/${{{{ github.base_ref }}}}:{env['COMPARE']}"
        found.append(f"input baseline: empty; {fix}")
    if not re.fullmatch(r"[\w.-]{1,100}", env["ARTIFACT_NAME"]):
        found.append(f"input artifact-name: {env['ARTIFACT_NAME']!r}; use letters, digits, '.', '_' and '-'")
    try:
        words = shlex.split(env["ARGS"])
    except ValueError as error:
        return [*found, f"input args: {error}; close the quote"]
    taken = sorted({word.partition("=")[0] for word in words} & set(_OUR_FLAGS))
    return [*found, *(f"input args: {flag} is set by the action; leave it out" for flag in taken)]


def _words(env: Mapping[str, str], out: Path) -> list[str]:
    evalkit = [sys.executable, "-P", "-m", "evalkit"]
    flags = [*shlex.split(env["ARGS"]), "--out", str(out)]
    if env["COMPARE"]:
        return [*evalkit, "compare", *flags, "--", env["BASELINE"], env["COMPARE"]]
    baseline = ["--baseline", env["BASELINE"]] if env["BASELINE"] else []
    return [*evalkit, "run", *flags, *baseline, "--progress", "lines", "--", env["SUITE"]]


def _run(words: Sequence[str], env: Mapping[str, str]) -> tuple[int, list[str]]:
    """Run to the end, with runner commands disabled in its output."""
    token = secrets.token_hex(16)
    said: deque[str] = deque(maxlen=_SAID_LINES)
    # The runner masks only the secrets that it knows, and only in its log; a system may bypass evalkit's streams.
    secret = secrets_of(env)
    # Only this process may write to the runner's files, so the system under test does not see their paths.
    child = {name: value for name, value in env.items() if name not in {*_OUR_VARIABLES, *RUNNER_FILES}}
    sys.stdout.write(f"::stop-commands::{token}\n")
    sys.stdout.flush()
    try:
        with subprocess.Popen(  # noqa: S603 - words of the action's inputs, without a shell
            words, env=child, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace"
        ) as process:
            assert process.stderr is not None  # noqa: S101 - asked for above
            for line in process.stderr:
                shown = redact(line, secret)
                sys.stderr.write(shown)
                said.append(shown.rstrip())
    finally:
        sys.stderr.flush()
        # Starts a new line after any other output.
        sys.stdout.write(f"\n::{token}::\n")
        sys.stdout.flush()
    return (process.returncode if process.returncode >= 0 else 128 - process.returncode), list(said)


def is_news(ended: Ended, when: str) -> bool:
    """Return whether to create a comment if there is none yet."""
    failed = ended.exit_code != 0
    return {"always": True, "failures": failed}.get(when, failed or ended.page.news)


def _bare_page(suite: str, outcome: str, said: Sequence[str], code: int | None = None) -> Page:
    """Build a page for a run that wrote none, with its exit code and last lines."""
    headline = "" if code is None else f"the run ended with exit code {code} and without a decision: {_meaning(code)}"
    last = tuple((Code(line),) for line in said if line.strip())
    sections = (Section(title="What it said last", bullets=last),) if last else ()
    return Page(suite=suite, outcome=outcome, headline=headline, sections=sections)


def _meaning(code: int) -> str:
    known = {
        ExitCode.INVALID_INPUT: "the suite, its data, the flags or the baseline are invalid",
        ExitCode.NOTHING_SELECTED: "no case was selected",
        ExitCode.HUNG_UP: "it was stopped",
        ExitCode.INTERRUPTED: "it was stopped",
        ExitCode.TERMINATED: "it was stopped",
    }
    return next((words for number, words in known.items() if number == code), "evalkit or the disk failed")


def _outputs(ended: Ended, run: Path) -> str:
    values = {
        "decision": ended.outcome or "none",
        "exit-code": ended.exit_code,
        "summary-path": run / MARKDOWN if (run / MARKDOWN).exists() else "",
        "report-path": run / REPORT if (run / REPORT).exists() else "",
        "regressions": "" if ended.new_failures is None else len(ended.new_failures),
    }
    # evalkit's own paths and words of a fixed set, without line breaks.
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _append(file: Path, text: str) -> None:
    with file.open("a", encoding="utf-8", newline="\n", errors="replace") as target:
        target.write(text)


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_file(file))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _page(folder: Path) -> Page | None:
    try:
        return read_page(read_file(folder / COMMENT))
    except (OSError, ValueError):
        return None


def _name_of(suite: Path) -> str:
    """Return the suite's name if its text has one, so that later runs edit the same comment."""
    from yaml import YAMLError, safe_load

    try:
        found = re.search(r"^name:.*", read_file(suite).decode(), re.MULTILINE)
        name = safe_load(found[0])["name"] if found else None
    except (OSError, ValueError, YAMLError):
        name = None
    return name if name and isinstance(name, str) else str(suite)


if __name__ == "__main__":
    sys.exit(main(os.environ))
