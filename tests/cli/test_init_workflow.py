"""The workflow that `evalkit init` writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from forked import forked
from git_project import commit_all, git, start

from evalkit.operations.init_project import NO_COMMIT, source_of, workflow_text


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/evalkit", "https://github.com/acme/evalkit.git", "git@github.com:acme/evalkit.git",
        "ssh://git@github.com/acme/evalkit",
    ],
)  # fmt: skip
def test_the_workflow_names_the_commit_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """A checkout with an origin says which repository and commit its actions are."""
    start(tmp_path)
    commit = commit_all(tmp_path)
    git(tmp_path, "remote", "add", "origin", url)
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: no_source())
    assert source_of(tmp_path) == ("acme/evalkit", commit)


class no_source:
    """A package that was installed from nowhere in particular."""

    text = "{}"

    def read_text(self, name: str) -> str:
        """No origin."""
        return self.text


def test_a_package_from_a_commit_says_so_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip recorded of the source counts first."""
    source = no_source()
    source.text = '{"url": "https://github.com/acme/evalkit.git", "vcs_info": {"commit_id": "%s"}}' % ("ab" * 20)
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: source)
    assert source_of(tmp_path) == ("acme/evalkit", "ab" * 20)


@pytest.mark.parametrize("url", ["/srv/git/evalkit", "file:///srv/git/evalkit", "https://example.test/evalkit"])
def test_where_nothing_is_known_a_placeholder_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A folder, and an address without owner and name, are no action."""
    start(tmp_path)
    commit_all(tmp_path)
    git(tmp_path, "remote", "add", "origin", url)
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: no_source())
    assert source_of(tmp_path)[1] == NO_COMMIT


def test_the_suite_is_a_string_whatever_it_is_called() -> None:
    """The name of a folder cannot change the workflow."""
    folder = 'evals: "x"\n/${{ secrets.A }}ACTION_SOURCE '
    text = workflow_text(f"{folder}suite.yaml", "reports/baselines/main", ("acme/evalkit", "ab" * 20))
    jobs = yaml.safe_load(text)["jobs"]
    for job in ("gate", "baseline"):
        step = next(each for each in jobs[job]["steps"] if "suite" in each.get("with", {}))
        assert step["uses"] == f"acme/evalkit@{'ab' * 20}"
        assert step["with"]["suite"] == f"{folder}suite.yaml"
    assert jobs["comment"]["steps"][0]["uses"] == f"acme/evalkit/comment@{'ab' * 20}"
    assert "pull_request_target" not in text


@pytest.fixture
def pushed(tmp_path: Path) -> Path:
    """A project with the starter, pushed to a repository `origin.git` beside it."""
    root = tmp_path / "project"
    root.mkdir()
    start(root)
    forked(root, "init", "my-evals").check_returncode()
    commit_all(root)
    git(tmp_path, "clone", "--quiet", "--bare", str(root), str(tmp_path / "host" / "acme" / "app.git"))
    git(root, "remote", "add", "origin", str(tmp_path / "host" / "acme" / "app.git"))
    git(root, "fetch", "--quiet", "origin")
    return root


def test_a_push_to_the_main_branch_renews_the_baseline(pushed: Path, tmp_path: Path) -> None:
    """The script of the job `baseline` runs as it is; a pull request is then compared with what it committed."""
    assert forked(pushed, "run", "my-evals/suite.yaml", "--out", "reports/first").returncode == 0
    jobs = yaml.safe_load((pushed / ".github" / "workflows" / "evalkit.yml").read_text(encoding="utf-8"))["jobs"]
    script = next(step["run"] for step in jobs["baseline"]["steps"] if "run" in step)
    python = tmp_path / "evalkit-venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    env = {
        **os.environ,
        "RUNNER_TEMP": str(tmp_path),
        "SUMMARY": "reports/first/summary.md",
        "TOKEN": "none-is-needed-for-a-folder",
        "GITHUB_SERVER_URL": f"file://{tmp_path}/host",
        "GITHUB_REPOSITORY": "acme/app.git",
        "GITHUB_REF_NAME": "main",
        "GITHUB_SHA": "ab" * 20,
    }
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=pushed, env=env, check=True)
    git(pushed, "fetch", "--quiet", "origin")
    (pushed / "my-evals" / "bot.py").write_text(
        "def answer(input: str) -> str:\n    return 'no idea'\n", encoding="utf-8"
    )
    baseline = jobs["gate"]["steps"][1]["with"]["baseline"].replace("${{ github.base_ref }}", "main")
    broken = forked(pushed, "run", "my-evals/suite.yaml", "--baseline", baseline, "--out", "reports/second")
    assert broken.returncode == 1
    assert "4 new failures" in " ".join(broken.stdout.split())
