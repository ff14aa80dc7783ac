"""Write the files of a first suite: suite, cases, system under test, workflow and .gitignore."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evalkit.disk.paths import project_of
from evalkit.disk.project_code import SPELLING
from evalkit.errors import InputError, Problem
from evalkit.golden.source import WORKBOOKS
from evalkit.operations.table_suite import CaseTable, TableSuite, suite_of_table
from evalkit.store.folder import BASELINES, REFERENCES, REPORTS

STARTER = Path(__file__).parent / "starter"
AGENT_FILES = ("conversations.jsonl", "mocks.yaml", "policy.yaml")
"""Files of the starter for agents, beside its suite and its system."""
WORKFLOW = Path(".github") / "workflows" / "evalkit.yml"
NO_COMMIT = "0" * 40
_READ_WORKBOOK = "      - run: python3 -m pip install 'openpyxl<4' # reads the golden set\n"
BASELINE = "main"
IGNORED = (".evalkit/", f"{REPORTS}/*", f"!{BASELINES.as_posix()}/", f"!{REFERENCES.as_posix()}/")
"""Lines of .gitignore: run folders are left out; baselines and runs of reference systems are committed."""
_REPORTS_AS_A_WHOLE = {REPORTS, f"{REPORTS}/", f"/{REPORTS}", f"/{REPORTS}/"}
"""Lines of .gitignore below which nothing can be included again."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """The result of writing a first suite.

    Attributes:
        suite: The suite.
        wrote: New files.
        added: Files that lines were added to.
        kept: Files that existed and were not changed.
        bot: The file of the system.
        made: The proposal for a table, `None` without one.
        needs_source: Whether the workflow has placeholders for the repository and commit of evalkit.
        no_repository: Whether the folder is outside every git repository.
        ignores_baselines: Whether a line of .gitignore keeps baselines from being committed.
    """

    suite: Path
    wrote: tuple[Path, ...]
    added: tuple[Path, ...]
    kept: tuple[Path, ...]
    bot: Path
    made: TableSuite | None
    needs_source: bool
    no_repository: bool
    ignores_baselines: bool


def init_project(folder: Path, table: CaseTable | None = None, *, agent: bool = False) -> Started:
    """Write a suite and the files that it needs.

    Args:
        folder: folder for the suite; created if missing.
        table: the user's own cases; without it, the suite has cases and a small system, and runs without editing.
        agent: write six conversations with an agent and its tools instead of five questions. Not with a table.

    Raises:
        InputError: a file of the suite already exists, one cannot be written, or the table cannot be read.
    """
    root, top = project_of(folder), _repository_of(folder)
    bot, module = _place_of_bot(folder, root)
    suite, called = folder / "suite.yaml", json.dumps(f"{module}:answer", ensure_ascii=False)
    if table is None:
        made = None
        names = [f"agent/{name}" for name in AGENT_FILES] if agent else ["golden.jsonl"]
        own = {
            suite: _filled(_starter("agent/suite.yaml" if agent else "suite.yaml"), {"BOT": called}),
            **{folder / Path(name).name: _starter(name) for name in names},
            bot: _starter("agent/bot.py" if agent else "bot.py"),
        }
    else:
        made = suite_of_table(_starter("table_suite.yaml"), table, folder, root, called)
        own = {suite: made.text}
        if not made.replays:
            own[bot] = _filled(_starter("table_bot.py"), {"BOT_FILE": _inside(bot, root)})
    if there := [file for file in own if file.exists()]:
        raise InputError(Problem(str(file), "already exists", "choose another folder") for file in there)
    workflow = (top or root) / WORKFLOW
    shared = {
        workflow: workflow_text(
            _inside(suite, top or root),
            _inside(root / BASELINES / BASELINE, top or root),
            branch=_main_branch(top),
            workbook=table is not None and table.file.suffix.lower() in WORKBOOKS,
        ),
        root / ".gitignore": "".join(f"{line}\n" for line in IGNORED),
    }
    wrote, added, kept = _write_all(own | shared)
    return Started(
        suite=suite,
        wrote=wrote,
        added=added,
        kept=kept,
        bot=bot,
        made=made,
        needs_source=NO_COMMIT in _read(workflow),
        no_repository=top is None,
        ignores_baselines=bool(
            _REPORTS_AS_A_WHOLE & {line.strip() for line in _read(root / ".gitignore").splitlines()}
        ),
    )


def workflow_text(
    suite: str, baseline: str, source: tuple[str, str] | None = None, *, branch: str = "main", workbook: bool = False
) -> str:
    """Return the workflow that gates pull requests.

    Args:
        suite: the suite's path in the repository.
        baseline: the path of the baseline's folder in the repository.
        source: repository and commit of evalkit; those of this installation if not given.
        branch: branch whose pushes renew the baseline.
        workbook: whether the golden set is an Excel workbook, which needs a package that evalkit does not install.
    """
    owner, commit = source or source_of(Path(__file__).parents[2])
    values = {
        "      # PACKAGES_OF_GOLDEN_SET\n": _READ_WORKBOOK if workbook else "",
        "SUITE_FILE": json.dumps(suite),
        "BASELINE_FOLDER": json.dumps(baseline)[1:-1],
        "PROJECT_FOLDER": shlex.quote(baseline.removesuffix(f"{BASELINES.as_posix()}/{BASELINE}").rstrip("/") or "."),
        "SAVED_FOLDER": f"{BASELINES.as_posix()}/{BASELINE}",
        "BASELINE_NAME": BASELINE,
        "MAIN_BRANCH": json.dumps(branch),
        "COMMENT_SOURCE": f"{owner}/comment@{commit}",
        "ACTION_SOURCE": f"{owner}@{commit}",
        "OWNER/evalkit": owner,
    }
    return _filled(_starter("workflow.yml"), values)


def source_of(checkout: Path) -> tuple[str, str]:
    """Return the repository and commit of this evalkit; placeholders if they are unknown."""
    from importlib import metadata
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    from evalkit.store.git import git

    try:
        text = metadata.distribution("evalkit-gate").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        text = None
    given = json.loads(text or "{}")
    url, commit = given.get("url", ""), given.get("vcs_info", {}).get("commit_id", "")
    if url.startswith("file:"):
        checkout = Path(url2pathname(urlsplit(url).path))
    if not commit and (checkout / ".git").exists():
        try:
            url = git(checkout, "remote", "get-url", "origin").decode().strip()
            commit = git(checkout, "rev-parse", "HEAD").decode().strip()
        except InputError:
            url = ""
    found = re.fullmatch(r"(?:https://[^/]+/|ssh://[^/]+/|git@[^:/]+:)([\w.-]+/[\w.-]+?)(?:\.git)?/?", url)
    return (found[1], commit) if found and commit else ("OWNER/evalkit", NO_COMMIT)


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Replace each placeholder once; placeholders inside a value stay as they are."""
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], text)


def _starter(name: str) -> str:
    return (STARTER / name).read_text(encoding="utf-8")


def _repository_of(folder: Path) -> Path | None:
    whole = folder.resolve()
    return next((up for up in (whole, *whole.parents) if (up / ".git").exists()), None)


def _main_branch(repository: Path | None) -> str:
    """Return the branch that pull requests go into: the remote's, else `main` or `master`, else the current one."""
    from evalkit.store.git import git

    asked = (
        ("symbolic-ref", "--short", "refs/remotes/origin/HEAD"),
        ("rev-parse", "--abbrev-ref", "main"),
        ("rev-parse", "--abbrev-ref", "master"),
        ("symbolic-ref", "--short", "HEAD"),
    )
    for words in asked:
        if repository is None:
            break
        with suppress(InputError):
            return git(repository, *words).decode().strip().removeprefix("origin/")
    return "main"


def _inside(path: Path, root: Path) -> str:
    return path.resolve().relative_to(root).as_posix()


def _place_of_bot(folder: Path, root: Path) -> tuple[Path, str]:
    """Return the file of the system and its module, outside folders from which Python cannot import."""
    parts = folder.resolve().relative_to(root).parts
    importable = next((at for at, part in enumerate(parts) if not _is_importable(part, root, at)), len(parts))
    name = "bot" if importable == len(parts) else re.sub(r"\W+", "_", f"{parts[-1]} bot").strip("_")
    above = root.joinpath(*parts[:importable])
    file = folder / "bot.py" if importable == len(parts) else above / f"{name}.py"
    return file, ".".join([*parts[:importable], name])


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(Problem(str(file), f"cannot be read ({error.strerror})", "move it out of the way")) from None


def _is_importable(part: str, root: Path, depth: int) -> bool:
    """Return whether a folder can be a package: its name has no dot or quote, and no installed package has it."""
    if not SPELLING.fullmatch(f"{part}:answer") or re.search(r"[\"'\\.:]", part):
        return False
    if depth > 0:
        return True
    found = importlib.util.find_spec(part) if part.isidentifier() else None
    # A folder without `__init__.py` has no origin, and Python prefers any package that has one.
    return found is None or found.origin is None or Path(found.origin).is_relative_to(root)


def _missing_lines(gitignore: Path) -> str:
    """Return the lines to add to a .gitignore; empty if it has all of them."""
    text = _read(gitignore)
    known = {line.strip() for line in text.splitlines()}
    missing = "".join(f"{line}\n" for line in IGNORED if line not in known)
    return f"\n{missing}" if missing and text and not text.endswith("\n") else missing


def _write_all(files: Mapping[Path, str]) -> tuple[tuple[Path, ...], tuple[Path, ...], tuple[Path, ...]]:
    """Write the files; return the new ones, those with added lines, and those that were kept unchanged.

    Raises:
        InputError: one cannot be written; the new ones are removed again.
    """
    wrote: list[Path] = []
    added, kept = [], []
    try:
        for file, text in files.items():
            if not file.exists():
                _write(file, text)
                wrote.append(file)
            elif file.name == ".gitignore" and (lines := _missing_lines(file)):
                _write(file, lines, append=True)
                added.append(file)
            else:
                kept.append(file)
    except InputError:
        for file in wrote:
            file.unlink()
        raise
    return tuple(wrote), tuple(added), tuple(kept)


def _write(file: Path, text: str, *, append: bool = False) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # A new file is never written through an existing link.
        with file.open("a" if append else "x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise InputError(Problem(str(file), what, "move what is in the way, or choose another folder")) from None
