"""`evalkit init`: write a suite that runs as it is."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

STARTER = Path(__file__).parent / "starter"
WORKFLOW = Path(".github") / "workflows" / "evalkit.yml"
NO_COMMIT = "0" * 40


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to write to; created if missing.")] = Path("evals"),
) -> None:
    """Write a suite, five golden cases, a small system under test and a workflow; they run without editing.

    Example: evalkit init evals && evalkit run evals/suite.yaml
    """
    from evalkit.disk.paths import project_of, shown_path

    suite = folder / "suite.yaml"
    root = project_of(suite.parent)
    texts = {
        suite: _starter("suite.yaml").replace("BOT", _module(folder, root)),
        folder / "golden.jsonl": _starter("golden.jsonl"),
        folder / "bot.py": _starter("bot.py"),
        root / WORKFLOW: _workflow(_inside(suite, root)),
    }
    _refuse_existing([*texts][:-1])
    for file, text in texts.items():
        if file.exists():
            typer.echo(f"kept  {shown_path(file)} (it was there)")
            continue
        _write(file, text)
        typer.echo(f"wrote {shown_path(file)}")
    typer.echo(
        f"\nnext: evalkit run {shown_path(suite)}\n      one of the five answers is wrong: the report shows which"
    )
    if NO_COMMIT in (root / WORKFLOW).read_text(encoding="utf-8"):
        typer.echo(f"      in {WORKFLOW}: put the repository and commit of evalkit where it says OWNER/evalkit")


def _write(file: Path, text: str) -> None:
    from evalkit.errors import InputError, Problem

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(Problem(str(file), f"cannot be written ({error.strerror})", "choose another folder")) from None


def _workflow(suite: str) -> str:
    owner, commit = _source(Path(__file__).parents[2])
    text = _starter("workflow.yml").replace("SUITE_FILE", json.dumps(suite)).replace("OWNER/evalkit", owner)
    text = text.replace("COMMENT_SOURCE", f"{owner}/comment@{commit}")
    return text.replace("ACTION_SOURCE", f"{owner}@{commit}")


def _source(checkout: Path) -> tuple[str, str]:
    """Return the repository and commit of this evalkit; placeholders if they are unknown."""
    from importlib import metadata
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    from evalkit.errors import InputError
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


def _starter(name: str) -> str:
    return (STARTER / name).read_text(encoding="utf-8")


def _inside(path: Path, root: Path) -> str:
    return path.resolve().relative_to(root).as_posix()


def _module(folder: Path, root: Path) -> str:
    """Return the import name of `bot.py` relative to the project's root."""
    from evalkit.errors import InputError, Problem

    parts = [*folder.resolve().relative_to(root).parts, "bot"]
    bad = [part for part in parts if not part.isidentifier()]
    if bad:
        what = f"{bad[0]!r} cannot be part of a Python module's name"
        raise InputError(Problem(str(folder), what, "choose a folder named with letters, digits and _"))
    return ".".join(parts)


def _refuse_existing(files: list[Path]) -> None:
    from evalkit.errors import InputError, Problem

    there = [file for file in files if file.exists()]
    if there:
        raise InputError(Problem(str(file), "is already there", "choose another folder") for file in there)
