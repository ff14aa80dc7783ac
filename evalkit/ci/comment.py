"""Keep one comment on a pull request, created once and then edited (`python -m evalkit.ci.comment`).

The page comes from a job that ran the pull request's code, so it is treated as hostile: its form is checked, its size
is limited, and all its text is escaped here. Number and repository come from the event. Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import Any

from evalkit.report.page import COMMENT_BYTES, PAGE_BYTES, Page, markdown, marker, read_page

TIMEOUT_S = 30
PER_PAGE = 100
MOST_PAGES = 50
WAITS_S = (1.0, 4.0)
"""Seconds to wait before the second and the third attempt."""
_MAX_REPLY_BYTES = 20_000_000


class CommentRefused(Exception):
    """The code host refused the request with `status`."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"HTTP {status}: {said}")
        self.status = status


@dataclass(frozen=True)
class Api:
    """The code host's API for one repository."""

    base: str
    repository: str
    token: str

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[Any, HTTPMessage]:
        """Send one request; return the reply's JSON and its headers.

        Raises:
            Refused: the status is not 2xx; this includes redirects.
            OSError: the host cannot be reached.
        """
        if not self.base.startswith(("https://", "http://127.0.0.1:")):
            raise ValueError(f"GITHUB_API_URL is {self.base!r}: the token goes nowhere but to an https address")
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "User-Agent": "evalkit",
        }
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.base}/repos/{self.repository}{path}"
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - https, checked above
        try:
            with _opener.open(request, timeout=TIMEOUT_S) as reply:
                return json.loads(reply.read(_MAX_REPLY_BYTES)), reply.headers
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(500).decode("utf-8", "replace")
            raise CommentRefused(error.code, said) from None

    def comments(self, number: int) -> Iterator[Mapping[str, Any]]:
        """Yield each comment of a pull request, page by page."""
        for page in range(1, MOST_PAGES + 1):
            found, headers = self.call("GET", f"/issues/{number}/comments?per_page={PER_PAGE}&page={page}")
            yield from found
            if 'rel="next"' not in headers.get("Link", ""):
                return


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Rejects redirects, which would send the token elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def post(api: Api, number: int, page: Page, foot: str) -> str:
    """Create the comment of this suite, or edit the existing one; return the action as a word.

    Only comments by bots are edited, so a person who quotes the hidden marker keeps the text.
    """
    text = markdown(page, COMMENT_BYTES, foot=foot)
    mark = marker(page.suite)
    ours = (
        comment
        for comment in api.comments(number)
        if comment["user"]["type"] == "Bot" and str(comment["body"]).startswith(mark)
    )
    there = next(ours, None)
    if there is None:
        if not page.news:
            return "quiet: nothing changed"
        api.call("POST", f"/issues/{number}/comments", {"body": text})
        return "commented"
    if there["body"].replace("\r\n", "\n").strip() == text.strip():
        return "unchanged"
    api.call("PATCH", f"/issues/comments/{int(there['id'])}", {"body": text})
    return "edited"


def number_of(event: Mapping[str, Any], api: Api) -> int | None:
    """Return the pull request of an event, `None` if it has none.

    A `workflow_run` of a fork does not name its pull request, so take the open one of that owner's branch at that
    commit.
    """
    if "pull_request" in event:
        return int(event["pull_request"]["number"])
    run = event.get("workflow_run") or {}
    if run.get("event") != "pull_request":
        return None
    head = f"{run['head_repository']['owner']['login']}:{run['head_branch']}"
    query = urllib.parse.urlencode({"state": "open", "head": head, "per_page": PER_PAGE})
    found, _ = api.call("GET", f"/pulls?{query}")
    return next((int(each["number"]) for each in found if each["head"]["sha"] == run["head_sha"]), None)


def main(env: Mapping[str, str], wait: Callable[[float], None] = time.sleep) -> int:
    """Comment if there is a page and a pull request; return 0 even if the token may not write."""
    event = json.loads(Path(env["GITHUB_EVENT_PATH"]).read_bytes())
    repository = env["GITHUB_REPOSITORY"]
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        return _said("error", f"GITHUB_REPOSITORY is {repository!r}", 1)
    try:
        page = _page(Path(env["PAGE"]))
    except ValueError as error:
        return _said("error", f"the page is not one of evalkit's: {error}", 1)
    if page is None:
        return _said("notice", "no page to comment", 0)
    run = (event.get("workflow_run") or {}).get("id") or env["GITHUB_RUN_ID"]
    foot = f"[Full report]({env['GITHUB_SERVER_URL']}/{repository}/actions/runs/{int(run)}): an artifact of the run"
    api = Api(env["GITHUB_API_URL"], repository, env["GITHUB_TOKEN"])
    return _tried(lambda: _commented(api, event, page, foot), wait)


def _commented(api: Api, event: Mapping[str, Any], page: Page, foot: str) -> int:
    number = number_of(event, api)
    if number is None:
        return _said("notice", "no pull request belongs to this run", 0)
    return _said("notice", f"#{number}: {post(api, number, page, foot)}", 0)


def _tried(comment: Callable[[], int], wait: Callable[[float], None]) -> int:
    """Retry from the start after a failure; a comment that a lost reply created is then found and edited."""
    for pause_s in (*WAITS_S, None):
        try:
            return comment()
        except CommentRefused as error:
            if error.status in (401, 403, 404):
                words = "the token may not comment here, as in pull requests of forks; the job's page has the summary"
                return _said("notice", f"{words} ({error})", 0)
            problem: Exception = error
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            problem = error
        if pause_s is not None:
            wait(pause_s)
    return _said("error", f"no comment could be made: {type(problem).__name__} {problem}", 1)


def _page(file: Path) -> Page | None:
    try:
        with file.open("rb") as data:
            return read_page(data.read(PAGE_BYTES + 1))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(str(error)) from None


def _said(level: str, words: str, code: int) -> int:
    from evalkit.ci.annotations import command

    sys.stdout.write(command(level, words))
    return code


if __name__ == "__main__":
    sys.exit(main(os.environ))
