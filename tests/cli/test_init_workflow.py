"""The workflow that `evalkit init` writes."""

from pathlib import Path

import pytest
import yaml
from git_project import commit_all, git, start

from evalkit.cli import init as room
from evalkit.cli.init import NO_COMMIT, _source, _workflow


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
    assert _source(tmp_path) == ("acme/evalkit", commit)


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
    assert _source(tmp_path) == ("acme/evalkit", "ab" * 20)


@pytest.mark.parametrize("url", ["/srv/git/evalkit", "file:///srv/git/evalkit", "https://example.test/evalkit"])
def test_where_nothing_is_known_a_placeholder_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A folder, and an address without owner and name, are no action."""
    start(tmp_path)
    commit_all(tmp_path)
    git(tmp_path, "remote", "add", "origin", url)
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: no_source())
    assert _source(tmp_path)[1] == NO_COMMIT


def test_the_suite_is_a_string_whatever_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a folder cannot change the workflow."""
    monkeypatch.setattr(room, "_source", lambda _: ("acme/evalkit", "ab" * 20))
    value = yaml.safe_load(_workflow('evals: "x"\n/${{ secrets.A }}suite.yaml'))
    step = value["jobs"]["gate"]["steps"][1]
    assert step["uses"] == f"acme/evalkit@{'ab' * 20}"
    assert step["with"]["suite"] == 'evals: "x"\n/${{ secrets.A }}suite.yaml'
    assert value["jobs"]["comment"]["steps"][0]["uses"] == f"acme/evalkit/comment@{'ab' * 20}"
    assert "pull_request_target" not in _workflow("s")
