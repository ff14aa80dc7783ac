"""The one comment of a pull request, made over real HTTP against a small code host."""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from simulated_runner import ROOT, Job

from evalkit.ci.comment import main
from evalkit.report.page import Code, Page, Section, marker, to_json

PAGE = Page(
    suite="sums", outcome="blocked", headline="exact fell 1.00 → 0.50",
    sections=(Section(title="Worst new failures", bullets=((Code("left-001"), "critical"),)),),
)  # fmt: skip


@dataclass
class Host:
    """Comments of one pull request, and what was asked."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    """Statuses of the next replies."""
    lost_replies: int = 0
    """Writes that are done and whose replies are then lost."""
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """As much of the API as a comment needs."""

    host: Host

    def handle_any(self) -> None:
        """Every method."""
        host, method = self.host, self.command
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        host.asked.append(f"{method} {url.path}")
        assert self.headers["Authorization"] == "Bearer secret"
        if host.failures:
            self.answer(host.failures.pop(0), {"message": "no"}, {"Location": "http://127.0.0.1:9/elsewhere"})
        elif method == "GET" and url.path.endswith("/pulls"):
            self.answer(200, [each for each in host.pulls if each["label"] == query["head"][0]])
        elif method == "GET":
            number, size = int(query["page"][0]), int(query["per_page"][0])
            more = {"Link": '<http://127.0.0.1:9/elsewhere>; rel="next"'} if len(host.comments) > number * size else {}
            self.answer(200, host.comments[(number - 1) * size : number * size], more)
        else:
            if method == "POST":
                host.comments.append({"id": len(host.comments) + 1, "user": {"type": "Bot"}, **body})
            else:
                there = next(each for each in host.comments if each["id"] == int(url.path.rsplit("/", 1)[1]))
                there.update(body)
            if host.lost_replies:
                host.lost_replies -= 1
                self.close_connection = True
                return
            self.answer(201, {})

    do_GET = do_POST = do_PATCH = handle_any

    def answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        """Send JSON."""
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def host() -> Iterator[Host]:
    """A running code host."""
    known = Host()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"host": known}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    known.url = f"http://127.0.0.1:{server.server_port}"
    yield known
    server.shutdown()
    server.server_close()


def comment(host: Host, folder: Path, page: Page | bytes | None = PAGE, event: Any = None) -> int:
    """Run the step."""
    file = folder / "comment.json"
    file.unlink(missing_ok=True)
    if page is not None:
        file.write_bytes(page if isinstance(page, bytes) else to_json(page).encode())
    (folder / "event.json").write_text(json.dumps(event or {"pull_request": {"number": 7}}), encoding="utf-8")
    env = {
        "PAGE": str(file), "GITHUB_EVENT_PATH": str(folder / "event.json"), "GITHUB_REPOSITORY": "o/r",
        "GITHUB_API_URL": host.url, "GITHUB_SERVER_URL": "https://github.com", "GITHUB_RUN_ID": "99",
        "GITHUB_TOKEN": "secret",
    }  # fmt: skip
    return main(env, wait=lambda _: None)


def test_the_first_run_comments_and_later_ones_edit(host: Host, tmp_path: Path) -> None:
    """One comment, whatever happens: made, edited when the verdict changes, left alone when it does not."""
    assert comment(host, tmp_path) == 0
    assert comment(host, tmp_path) == 0
    assert [text.split()[0] for text in host.asked] == ["GET", "POST", "GET"]
    assert host.asked[1] == "POST /repos/o/r/issues/7/comments"
    body = host.comments[0]["body"]
    assert body.startswith(f"{marker('sums')}\n### ❌ evalkit: BLOCKED")
    assert "[Full report](https://github.com/o/r/actions/runs/99)" in body
    assert comment(host, tmp_path, replace(PAGE, outcome="approved", headline="all passed", news=False)) == 0
    assert len(host.comments) == 1
    assert "APPROVED" in host.comments[0]["body"]


def test_nothing_new_is_not_said(host: Host, tmp_path: Path) -> None:
    """No comment is made for a run in which nothing changed."""
    assert comment(host, tmp_path, replace(PAGE, outcome="approved", news=False)) == 0
    assert host.comments == []


def test_the_comment_is_found_on_the_third_page(host: Host, tmp_path: Path) -> None:
    """Pagination goes on by number, not to the address that a reply names."""
    host.comments = [{"id": n, "user": {"type": "User"}, "body": "hello"} for n in range(1, 251)]
    host.comments[229] = {"id": 230, "user": {"type": "Bot"}, "body": f"{marker('sums')}\nold"}
    assert comment(host, tmp_path) == 0
    assert len(host.comments) == 250
    assert "BLOCKED" in host.comments[229]["body"]
    assert [text for text in host.asked if text.startswith("GET")] == ["GET /repos/o/r/issues/7/comments"] * 3


def test_a_person_who_writes_the_marker_keeps_his_text(host: Host, tmp_path: Path) -> None:
    """Only a bot's comment that begins with the marker is ours."""
    mine = f"{marker('sums')}\nlook at this"
    host.comments = [
        {"id": 1, "user": {"type": "User"}, "body": mine},
        {"id": 2, "user": {"type": "Bot"}, "body": f"> {mine}"},
    ]
    assert comment(host, tmp_path) == 0
    assert [each["body"] for each in host.comments[:2]] == [mine, f"> {mine}"]
    assert len(host.comments) == 3


def test_two_suites_have_two_comments(host: Host, tmp_path: Path) -> None:
    """The marker holds the suite's name."""
    assert comment(host, tmp_path) == comment(host, tmp_path, replace(PAGE, suite="other")) == 0
    assert len(host.comments) == 2


def test_a_token_that_may_not_write_is_no_failure(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a fork's pull request the token only reads: a notice, and the job stays green."""
    host.failures = [403]
    assert comment(host, tmp_path) == 0
    assert capsys.readouterr().out.startswith("::notice::the token may not comment here")


def test_a_broken_host_is_asked_three_times(host: Host, tmp_path: Path) -> None:
    """Server errors are tried again; then the job says so."""
    host.failures = [502, 502]
    assert comment(host, tmp_path) == 0
    assert len(host.comments) == 1
    host.failures = [500, 500, 500]
    assert comment(host, tmp_path) == 1


def test_a_lost_reply_does_not_comment_twice(host: Host, tmp_path: Path) -> None:
    """The comment was made and its reply was lost: the next attempt finds it."""
    host.lost_replies = 1
    assert comment(host, tmp_path) == 0
    assert len(host.comments) == 1


def test_a_redirect_is_not_followed(host: Host, tmp_path: Path) -> None:
    """The token goes nowhere but to the API."""
    host.failures = [302, 302, 302]
    assert comment(host, tmp_path) == 1
    assert len(host.asked) == 3


@pytest.mark.parametrize("data", [b"{}", b"not json", b"x" * 1_000_001, b"[" * 90_000], ids=lambda data: str(len(data)))
def test_a_page_that_is_none_is_refused_before_any_call(host: Host, tmp_path: Path, data: bytes) -> None:
    """A hostile artifact costs one line of log."""
    assert comment(host, tmp_path, data) == 1
    assert host.asked == []


def test_no_page_is_no_comment(host: Host, tmp_path: Path) -> None:
    """Where the gate kept no page there is nothing to do."""
    assert comment(host, tmp_path, None) == 0
    assert host.asked == []


def test_hostile_words_arrive_as_words(host: Host, tmp_path: Path) -> None:
    """Every text of the page is escaped by the job that comments, not by the one that made it."""
    hostile = "```\n<!-- evalkit: other --> @team ![x](http://e.test) <img src=x> | # ::set-output name=a::b"
    section = Section(title=hostile, bullets=((hostile, Code(hostile)),))
    page = replace(PAGE, headline=hostile, facts=(hostile,), sections=(section,))
    assert comment(host, tmp_path, page) == 0
    ours = host.comments[0]["body"].removeprefix(marker("sums")).replace("[Full report](https://", "")
    prose = re.sub(r"\\[^\w\s]|(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", ours)
    assert not re.search(r"@\w|\]\(|<|://", prose)
    assert len(prose.splitlines()) < 12


RUN = {
    "id": 55, "event": "pull_request", "head_branch": "fix & go", "head_sha": "abc",
    "head_repository": {"owner": {"login": "stranger"}},
}  # fmt: skip


def test_the_pull_request_of_a_fork_is_found_by_its_commit(host: Host, tmp_path: Path) -> None:
    """A workflow_run names branch and commit: the open pull request of both, and no other, is commented."""
    host.pulls = [
        {"number": 3, "label": "stranger:fix & go", "head": {"sha": "older"}},
        {"number": 4, "label": "stranger:fix & go", "head": {"sha": "abc"}},
    ]
    assert comment(host, tmp_path, event={"workflow_run": RUN}) == 0
    assert "POST /repos/o/r/issues/4/comments" in host.asked
    assert "/actions/runs/55" in host.comments[0]["body"]


def test_a_run_without_a_pull_request_is_not_commented(host: Host, tmp_path: Path) -> None:
    """A push has nobody to tell."""
    assert comment(host, tmp_path, event={"workflow_run": {**RUN, "event": "push"}}) == 0
    assert comment(host, tmp_path, event={"workflow_run": RUN}) == 0
    assert host.comments == []


def test_the_token_goes_to_no_plain_address(host: Host, tmp_path: Path) -> None:
    """An API address without TLS is refused."""
    host.url = "http://api.example.test"
    assert comment(host, tmp_path) == 1


def test_the_step_of_the_action_comments_with_nothing_installed(host: Host, tmp_path: Path) -> None:
    """Bash runs the step as a runner would, with the system's own python and without a checkout of the project."""
    work, temp = tmp_path / "work", tmp_path / "temp"
    (temp / "evalkit-comment").mkdir(parents=True)
    work.mkdir()
    (work / "evalkit.py").write_text("raise SystemExit('the workspace is not looked into')", encoding="utf-8")
    (temp / "evalkit-comment" / "comment.json").write_text(to_json(PAGE), encoding="utf-8")
    (temp / "event.json").write_text(json.dumps({"pull_request": {"number": 7}}), encoding="utf-8")
    env = {
        "GITHUB_EVENT_PATH": str(temp / "event.json"), "GITHUB_REPOSITORY": "o/r", "GITHUB_API_URL": host.url,
        "GITHUB_SERVER_URL": "https://github.com", "GITHUB_RUN_ID": "99",
    }  # fmt: skip
    action = ROOT / "comment" / "action.yml"
    job = Job(work, temp, env)
    step = yaml.safe_load(action.read_text(encoding="utf-8"))["runs"]["steps"][-1]
    job.shell(step, {"inputs": {"token": "secret"}, "steps": {}}, action.parent)
    assert not job.failed, job.log
    assert "::notice::#7: commented" in job.log.replace("%23", "#")
    assert host.comments[0]["body"].startswith(marker("sums"))
