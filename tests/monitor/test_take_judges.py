"""`take` with a judge: a missing key, a dead endpoint and ungraded calls are reported, and no call is lost."""

import asyncio
import shutil
import socket
import time
from pathlib import Path

import pytest
from monitor_lab import MONITOR, MonitorLab, row
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.errors import InputError, RunError
from evalkit.monitor.judge_reach import JudgeReach
from evalkit.testing import FakeModel, Fault
from evalkit.types import Score, Unscored, Usage

JUDGED = MONITOR.replace("scorers: [", "scorers: [{judge: {rubric: tone}}, ")


def judge_at(address: str, more: str = "") -> str:
    """A monitor with a judge at an address."""
    return f'{JUDGED}judge: {{chat: {{model: toy, base_url: "{address}"{more}}}}}\nsample: {{most: 1}}\n'


def closed_port() -> str:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_missing_key_ends_take_before_any_row_is_read(tmp_path: Path) -> None:
    """Calls that the judge cannot grade now would never be judged."""
    lab = MonitorLab(tmp_path, judge_at("http://127.0.0.1:9", ", api_key_env: JUDGE_API_KEY"))
    lab.log([row(i, i) for i in range(3)])
    with pytest.raises(InputError) as caught:
        lab.take()
    assert "judge: environment variable JUDGE_API_KEY is not set; export JUDGE_API_KEY=... before `take`" in str(
        caught.value
    )
    assert not lab.folder.exists()


def test_a_judge_that_cannot_be_reached_ends_take_and_loses_no_call(tmp_path: Path) -> None:
    """Within seconds, not after the retries of every call; the next take judges these calls."""
    address = closed_port()
    lab = MonitorLab(tmp_path, judge_at(address))
    lab.log([row(i, i) for i in range(30)])
    started = time.monotonic()
    with pytest.raises(RunError, match=f"^judge: {address} cannot be reached; start it, then run the command again$"):
        lab.take()
    assert time.monotonic() - started < 20
    assert lab.ids() == []
    with FakeModel() as model:
        lab.file.write_text(judge_at(model.base_url), encoding="utf-8")
        assert (lab.take().n_judged, len(lab.ids())) == (30, 30)


def test_calls_that_the_judge_could_not_grade_are_not_counted_as_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names how many, the kind, and what the judge said."""
    monkeypatch.chdir(tmp_path)
    with FakeModel(lambda request: "no JSON", usage={"prompt_tokens": 10, "completion_tokens": 5}) as model:
        lab = MonitorLab(tmp_path, judge_at(model.base_url))
        lab.log([row(i, i) for i in range(4)])
        ended = CliRunner().invoke(app, ["monitor", "take", "monitor.yaml", "logs"])
    assert ended.exit_code == 0, ended.output
    line = ended.stdout.splitlines()[1]
    assert line.startswith("sampled 4 calls, 0 judged")
    assert "; 4 could not be judged (judge_" in line


def test_a_judge_that_has_answered_gets_the_time_of_all_attempts() -> None:
    """A short outage ends nothing; three calls in a row without an answer do, and so does a refused key."""

    def refuse(reach: JudgeReach, times: int) -> None:
        for _ in range(times):
            with reach.one("connection", 1):
                pass

    async def ended() -> list[str]:
        slow, denied = JudgeReach(["http://a"]), JudgeReach(["http://a"])
        said = []
        refuse(slow, 2)
        said.append(await _end(slow))
        slow.graded({"tone": Score("tone", 1.0, usage=Usage())})
        refuse(slow, 50)
        for _ in range(3):
            said.append(await _end(slow))
            slow.graded({"tone": Unscored("tone", "judge_transport", "refused")})
        said.append(await _end(slow))
        for _ in range(3):
            denied.graded({"tone": Unscored("tone", "judge_http_401", "no")})
        return [*said, await _end(denied)]

    lost = "judge: http://a cannot be reached; start it, then run the command again"
    refused = "judge: http://a refused the key (http_401); fix the key, then run the command again"
    assert asyncio.run(ended()) == ["", "", "", "", lost, refused]


async def _end(reach: JudgeReach) -> str:
    """Why it ends the take; empty if it does not."""
    try:
        await asyncio.wait_for(reach.watch(), 0.01)
    except RunError as error:
        return str(error)
    except TimeoutError:
        return ""


@pytest.mark.parametrize("quoted", ["Please call Eve Miller about her loan", "eve@example.org", "4111 1111 1111 1111"])
def test_a_message_of_the_endpoint_that_quotes_the_call_is_not_shown(quoted: str, tmp_path: Path) -> None:
    """It would bring the text of a call to the terminal and to its log; other messages help, and are shown."""
    private = f"Hello. Please call Eve Miller about her loan: eve@example.org, 4111 1111 1111 1111, {tmp_path.name}."
    for said, shown in ((f"bad input: '{quoted}'", False), ("the model toy does not exist", True)):
        lab = MonitorLab(tmp_path)
        shutil.rmtree(lab.folder, ignore_errors=True)
        with FakeModel(always=Fault(kind="status", status=400, message=said)) as model:
            lab.file.write_text(judge_at(model.base_url), encoding="utf-8")
            lab.log([row(1, 0, answer=private)], f"{shown}.jsonl")
            taken = lab.take(str(lab.logs / f"{shown}.jsonl"))
        assert taken.unjudged.kind == "judge_http_400"
        assert (said in taken.unjudged.message) == shown
        assert ("is not shown" in taken.unjudged.message) != shown


def test_replies_of_judges_are_not_cached_if_no_text_is_kept(tmp_path: Path) -> None:
    """A reply may quote the answer, and the cache outlives the call."""
    with FakeModel() as model:
        lab = MonitorLab(tmp_path, judge_at(model.base_url) + "keep: {text: none}\n")
        lab.log([row(1, 0)])
        assert lab.take().n_judged == 1
    assert not (tmp_path / ".evalkit").exists()
