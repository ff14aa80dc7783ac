"""A run whose cases are run in shards by workers decides as one without; here the workers are threads of the test."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from evalkit.errors import EvalkitError, InputError
from evalkit.formats.rows import decode_row, encode_row
from evalkit.net.rate_limits import Timetable
from evalkit.operations.dry_run import dry_run
from evalkit.operations.run import EngineFlags, Request, Result, decide_again, plan_run, run_suite
from evalkit.operations.run_each import run_each
from evalkit.operations.verify import verify_run
from evalkit.runner.chat_clients import Common
from evalkit.runner.conversations import open_system
from evalkit.runner.engine import Stop
from evalkit.runner.engines.base import Attempted, ShardEnd
from evalkit.runner.engines.dask import DaskEngine
from evalkit.runner.engines.worker import close_run, run_shard, share
from evalkit.runner.prepare import prepare
from evalkit.runner.session import Watcher
from evalkit.store.folder import ROWS, RunFolder
from evalkit.store.shards import SHARDS, SharedWork
from evalkit.suite.parse import load_suite
from evalkit.types import Row

SUITE = """\
name: sums
golden: cases.jsonl
system: {python: "sums_bot:answer"}
scorers: [exact]
cohorts: [group]
repeat: 2
concurrency: 3
gate:
  - pass_rate: {min: 0.3}
"""
BOT = """\
import pathlib

def answer(input: str, id: str) -> str:
    with pathlib.Path("calls.log").open("a") as file:
        file.write(id + "\\n")
    a, b = input.split("+")
    return str(int(a) + int(b)) if int(a) % 7 else "no idea"
"""


class Threads:
    """An engine that runs one shard after the other in a thread of this process."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.most = 1_000
        """Shards until it is lost."""
        self.attempt: Callable[[Path, int], ShardEnd] = lambda shards, number: run_shard(shards, number, 1, 0)

    def open(self) -> None:
        """Nothing is started, and nothing is opened for no shard."""
        assert self.most

    def run(self, shards: Path, numbers: Sequence[int], attempted: Attempted, stopped: Callable[[], bool]) -> None:
        """Run every shard."""
        for at, number in enumerate(numbers):
            if at == self.most:
                raise EvalkitError("lost")
            if stopped():
                return
            attempted(number, self.attempt(shards, number))

    def close(self) -> None:
        """Close what the worker holds open."""
        close_run()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Threads:
    """The engine of every run of the test, in a project whose cases are partly in clusters."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "sums_bot.py").write_text(BOT, encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    with (tmp_path / "cases.jsonl").open("w", encoding="utf-8") as file:
        for i in range(30):
            row = {"id": f"c{i:03}", "input": f"{i} + 1", "reference": str(i + 1), "cohorts": {"group": str(i % 3)}}
            file.write(json.dumps({**row, **({"cluster": f"k{i // 4}"} if i > 15 else {})}) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    made = Threads(2)
    monkeypatch.setattr("evalkit.runner.engines.dask.DaskEngine", lambda workers, scheduler, task: made)
    return made


def run(out: str, size: int | None = 5, **settings: object) -> Result:
    """Run the suite of the current folder on the engine, or without one if no size of shards is given."""
    sys.modules.pop("sums_bot", None)
    flags = None if size is None else EngineFlags(engine="dask", workers=2, shard_size=size)
    request = Request(**{"suite": Path("suite.yaml"), "out": Path(out), "engine": flags, **settings})  # type: ignore[arg-type]
    return asyncio.run(run_suite(request, Watcher(), Stop(), {}))


def calls() -> Counter[str]:
    """How often each case was called."""
    return Counter(Path("calls.log").read_text(encoding="utf-8").split())


def replaced(old: str, new: str) -> None:
    """Change the suite."""
    Path("suite.yaml").write_text(SUITE.replace(old, new), encoding="utf-8")


def test_shards_of_any_size_make_the_same_summary(engine: Threads) -> None:
    """Byte for byte that of a run without an engine; every case is called as often; the run is sound."""
    run("whole", None)
    once = calls()
    for size in (1, 5, 1000):
        Path("calls.log").unlink()
        assert run(f"s{size}", size).exit_code == 0
        assert calls() == once
        assert Path(f"s{size}/summary.json").read_bytes() == Path("whole/summary.json").read_bytes()
        own, other = (json.loads(Path(name, "decision.json").read_bytes()) for name in (f"s{size}", "whole"))
        for each in (own, other):
            del each["run_id"], each["head"]
        assert own == other
        assert verify_run(f"s{size}", Path.cwd()).findings == ()
        assert not Path(f"s{size}", SHARDS).exists()


def test_a_case_stays_with_its_repeats_and_its_cluster(engine: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has all of them in one shard."""
    places: dict[str, set[int]] = {}

    def look(shards: Path, number: int) -> ShardEnd:
        for row in SharedWork(shards).shard(number).work():
            places.setdefault(row.case.cluster or row.case.id, set()).add(number)
        return run_shard(shards, number, 1, 0)

    engine.attempt = look
    run("out")
    assert len(set().union(*places.values())) > 3
    assert all(len(numbers) == 1 for numbers in places.values())


def test_a_run_whose_workers_are_lost_is_resumed(engine: Threads) -> None:
    """With another size of shards, or without an engine; no case is called again, none is missing."""
    run("whole", None)
    once = calls()
    for size in (7, None):
        Path("calls.log").unlink()
        engine.most = 3
        with pytest.raises(EvalkitError, match="lost"):
            run(f"lost{size}")
        n_called = calls().total()
        assert 0 < n_called < once.total()
        engine.most = 1_000
        run(f"lost{size}", size, resume=True)
        assert calls() == once
        assert Path(f"lost{size}/summary.json").read_bytes() == Path("whole/summary.json").read_bytes()
    engine.most = 0  # nothing is left to run, so that no shard is begun
    assert run("lost7", resume=True).exit_code == 0


def test_rows_of_a_killed_driver_count_once(engine: Threads) -> None:
    """Sealed or not, in the journal already or not; also those of a process that wrote the same case again."""
    run("whole", None)
    once = calls()
    Path("calls.log").unlink()

    def die(shards: Path, number: int) -> ShardEnd:
        run_shard(shards, number, 1, 0)
        shard = SharedWork(shards).shard(number)
        if number % 2:
            (shard.path / "done.json").unlink()
            attempt = next(shard.path.glob("a1*"))
            twin = shard.path / f"a2.{attempt.name}"
            twin.mkdir()
            rows = [decode_row(line) for line in (attempt / ROWS).read_bytes().splitlines(keepends=True)]
            late = [Row(case=row.case, repeat=row.repeat, skipped="late") for row in rows if row is not None]
            (twin / ROWS).write_bytes(b"".join(map(encode_row, late)))
        return ShardEnd("failed", "killed") if number == 4 else ShardEnd("stopped")

    engine.attempt = die
    with pytest.raises(EvalkitError, match=r"shard 4 failed: killed; continue with --resume"):
        run("out")
    kept = b"".join(file.read_bytes() for file in sorted(Path("out").glob(f"{SHARDS}/*/*/a1*/{ROWS}")))
    Path("out", ROWS).write_bytes(kept[: kept.index(b"\n") + 1])
    run("out", resume=True, size=None)
    assert calls() == once
    assert Path("out/summary.json").read_bytes() == Path("whole/summary.json").read_bytes()
    assert verify_run("out", Path.cwd()).findings == ()


def test_stored_answers_are_scored_in_shards(engine: Threads) -> None:
    """Byte for byte as in one process, failures and cases without an answer included; nothing is called."""
    Path("sums_bot.py").write_text(BOT.replace("    a, b", "    assert id != 'c003'\n    a, b"), encoding="utf-8")
    run("first", None)
    with Path("cases.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "new", "input": "1 + 1", "reference": "2", "cohorts": {"group": "0"}}\n')
    replaced("[exact]", "[{exact: {tolerance: 0.5}}, {length: {max: 3}}]")
    Path("calls.log").unlink()
    answers = RunFolder(Path("first"))
    whole = run("whole", None, answers=answers)
    for size in (1, 1000):
        found = run(f"s{size}", size, answers=answers)
        assert found.exit_code == whole.exit_code
        assert Path(f"s{size}/summary.json").read_bytes() == Path("whole/summary.json").read_bytes()
        lines = [sorted(Path(out, ROWS).read_text(encoding="utf-8").splitlines()) for out in (f"s{size}", "whole")]
        assert lines[0] == lines[1]
        assert verify_run(f"s{size}", Path.cwd()).findings == ()
    failures = [row.failure.kind for row in RunFolder(Path("s1")).rows() if row.failure is not None]
    assert sorted(failures) == ["exception"] * 2 + ["not_stored"] * 2
    assert not Path("calls.log").exists()


def test_a_suite_with_a_baseline_system_is_scored_in_shards(engine: Threads) -> None:
    """It is not called; and the engine of the suite is the one of `score`."""
    run("first", None)
    replaced("gate:\n", "gate:\n  - no_regression: {baseline: {run: first, system: {replay: cases.jsonl}}}\n")
    assert run("again", 5, answers=RunFolder(Path("first")), baseline="none").decision.partial is None


def test_rows_of_a_run_that_has_not_ended_are_named(engine: Threads) -> None:
    """By `gate`, which does not decide without them, by `verify`, and by a dry run, which does not count them again."""

    def die(shards: Path, number: int) -> ShardEnd:
        run_shard(shards, number, 1, 0)
        raise EvalkitError("the driver is killed")

    engine.attempt = die
    with pytest.raises(EvalkitError, match="the driver is killed"):
        run("out")
    n_left = calls().total()
    assert 0 < n_left < 60
    named = (
        f"{n_left} rows of a run that has not ended lie in shards/; continue it with --resume, which takes them over"
    )
    decision = decide_again(RunFolder(Path("out")), None, None).decision
    assert decision.outcome == "no decision"
    assert named in str(decision.partial)
    assert verify_run("out", Path.cwd()).findings == (named,)
    request = Request(suite=Path("suite.yaml"), out=Path("out"), resume=True)
    planned = asyncio.run(dry_run(request, {}))[""]
    assert (planned.n_done, planned.n_rows) == (n_left, 60 - n_left)
    engine.attempt = lambda shards, number: run_shard(shards, number, 1, 0)
    run("out", resume=True)
    assert calls().total() == 60
    assert decide_again(RunFolder(Path("out")), None, None).decision.partial is None
    assert verify_run("out", Path.cwd()).findings == ()


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("suite", lambda: replaced("name: sums", "name: sums # edited")),
        ("system", lambda: Path("sums_bot.py").write_text(BOT + "\n# edited\n", encoding="utf-8")),
        ("golden set", lambda: Path("cases.jsonl").write_text('{"id": "a", "input": "1 + 1"}\n', encoding="utf-8")),
    ],
)
def test_a_worker_refuses_another_run(engine: Threads, part: str, change: Callable[[], object]) -> None:
    """A checkout that differs from that of the driver, named with both values; nothing is called."""

    def elsewhere(shards: Path, number: int) -> ShardEnd:
        sys.modules.pop("sums_bot", None)
        change()
        return run_shard(shards, number, 1, 0)

    engine.attempt = elsewhere
    with pytest.raises(InputError) as caught:
        run("out")
    problem = caught.value.problems[0]
    assert problem.place.startswith("worker ")
    assert part in problem.what or "`reference`" in problem.what
    assert not Path("calls.log").exists()


def test_a_worker_with_another_evalkit_or_without_the_folder_refuses(
    engine: Threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is named; a folder that is not there is one of a disk that is not shared."""
    monkeypatch.setattr("evalkit.runner.engines.suite_shards.__version__", "0.0.1")
    with pytest.raises(InputError, match=r"has another version of evalkit \(0\.0\.1; the run has .*\); give every"):
        run("out")
    ended = run_shard(tmp_path / "elsewhere" / SHARDS / "x", 1, 1, 0)
    close_run()
    assert ended.state == "refused"
    assert "let all workers see the folder of the run" in ended.problems[0].fix


def test_a_budget_is_one_for_all_workers(engine: Threads) -> None:
    """It stops the run with what was spent; the rest follows with more of it."""
    Path("sums_bot.py").write_text(
        'def answer(input: str) -> dict:\n    return {"text": "7", "usage": {"cost_usd": 0.1}}\n',
        encoding="utf-8",
    )
    stopped = run("out", overrides={"budget_usd": 2.0, "concurrency": 2})
    assert stopped.decision.outcome == "no decision"
    assert "budget" in str(stopped.decision.partial)
    assert 18 <= len(list(RunFolder(Path("out")).rows())) <= 22
    assert run("out", resume=True, overrides={"budget_usd": 90.0}).decision.partial is None
    assert len(list(RunFolder(Path("out")).rows())) == 60


@pytest.mark.parametrize(
    ("flags", "settings", "said"),
    [
        (EngineFlags(engine="dask"), {}, "--workers: missing: the number of processes; add --workers 4"),
        (EngineFlags(engine="dask", workers=4), {}, "--workers: 4 workers share 3 calls in flight"),
        (
            EngineFlags(engine="dask", workers=2),
            {"fail_fast": 1},
            "--fail-fast: counts the failed cases of one process; leave it out, or add --engine none",
        ),
        (EngineFlags(engine="dask", workers=2, shard_size=9999), {}, "--shard-size: expected 1 to 5000, got 9999"),
        (EngineFlags(engine="dask", scheduler="tcp://h:1"), {}, "--scheduler: anyone who can reach a scheduler"),
        (EngineFlags(engine="dask", scheduler="h:1"), {}, "--scheduler: 'h:1' is not the address of a scheduler"),
        (EngineFlags(engine="dask", workers=2, insecure=True), {}, "--insecure-scheduler: there is no --scheduler"),
        (EngineFlags(workers=2), {}, "--workers: has no effect without an engine; leave it out, or add"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(
    engine: Threads, flags: EngineFlags, settings: dict[str, object], said: str
) -> None:
    """Before the first call, with the flag and the fix."""
    with pytest.raises(InputError) as caught:
        run("out", engine=flags, **settings)
    assert said in str(caught.value)
    assert not Path("out").exists()


def test_a_run_that_may_stop_early_is_refused(engine: Threads) -> None:
    """Its cases are run in parts; the key of the suite is refused too."""
    replaced("gate:\n", "early_stop: true\ngate:\n  - no_regression: {baseline: main}\n")
    with pytest.raises(InputError, match=r"--engine: it runs all cases at once.*`early_stop`; add --engine none"):
        run("out")
    assert not Path("out").exists()


def test_several_systems_are_refused(engine: Threads) -> None:
    """They are called in turn on one machine."""
    replaced('system: {python: "sums_bot:answer"}', 'systems: {a: {python: "sums_bot:answer"}, b: {replay: golden}}')
    request = Request(suite=Path("suite.yaml"), engine=EngineFlags(engine="dask", workers=2))
    with pytest.raises(InputError, match=r"--engine: the suite names several systems.*add --engine none"):
        asyncio.run(run_each(request, Watcher(), Stop(), {}))


def test_the_suite_can_choose_the_engine(engine: Threads) -> None:
    """A flag goes before it, `--engine none` runs without; only `evalkit run` reads it."""
    replaced("repeat: 2", "repeat: 2\nengine: {dask: {workers: 2, shard_size: 7}}")

    async def sizes(flags: EngineFlags | None) -> int | None:
        async with AsyncExitStack() as stack:
            planned = await plan_run(Request(suite=Path("suite.yaml"), engine=flags), {}, stack)
            return None if planned.sharded is None else planned.sharded.shard_size

    asked = [EngineFlags(), EngineFlags(shard_size=9), EngineFlags(engine="none"), None]
    assert [asyncio.run(sizes(flags)) for flags in asked] == [7, 9, None, None]
    replaced("repeat: 2", "engine: {dask: {workers: 0}}")
    with pytest.raises(InputError, match="expected 1 to 1000, got 0; write the number of processes"):
        run("out")


def test_without_dask_the_command_to_install_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line to copy."""
    monkeypatch.setattr("evalkit.runner.engines.dask.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'evalkit-gate\[dask\]'"):
        DaskEngine(2)


def test_the_calls_in_flight_are_shared() -> None:
    """All of them, the remainder to the first."""
    assert [share(64, 4, slot) for slot in range(4)] == [16, 16, 16, 16]
    assert [share(10, 4, slot) for slot in range(4)] == [3, 3, 2, 2]


def test_the_limits_of_every_endpoint_are_kept_together(tmp_path: Path) -> None:
    """Those of the system, of the judge and its panel, and of the simulated user: each has its own, shared by all."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "cases.jsonl").write_text('{"id": "a", "turns": [{"user": "q"}], "reference": "r"}\n', encoding="utf-8")
    limits = "base_url: 'http://127.0.0.1:9', requests_per_minute: 60"
    text = SUITE.replace('{python: "sums_bot:answer"}', f"{{chat: m, {limits}}}").replace("cohorts: [group]\n", "")
    text += f"judge: {{chat: {{model: m, {limits}}}, panel: [{{model: other, {limits}}}]}}\n"
    text += f"conversation: {{user: {{chat: {{model: m, {limits}}}}}}}\n"
    (tmp_path / "suite.yaml").write_text(text, encoding="utf-8")
    names: list[str] = []

    def timetable(who: str) -> Timetable:
        names.append(who)
        return Timetable()

    async def open_all() -> None:
        async with AsyncExitStack() as stack:
            suite = load_suite(tmp_path / "suite.yaml")
            prepared = await prepare(suite, {}, stack, common=Common(None, timetable))
            await stack.enter_async_context(open_system(suite.system, prepared))

    asyncio.run(open_all())
    assert sorted(names) == ["judge 1", "judge 2", "system", "user"]


class Workers:
    """Stands for the client of a cluster: each attempt ends as the script of its shard says."""

    def __init__(self, script: dict[int, list[str]], left: int = 1) -> None:
        self._script, self._left = script, left
        self.begun: list[tuple[int, int, int]] = []

    def submit(self, function: object, *asked: object, **options: object) -> Attempt:
        """Note the shard, the number of the attempt and the slot."""
        _, number, attempt, slot, _ = asked
        self.begun.append((number, attempt, slot))
        return Attempt(self._script[number].pop(0))

    def nthreads(self) -> dict[str, int]:
        """The workers that are left."""
        return dict.fromkeys(map(str, range(self._left)), 1)


class Attempt:
    """Stands for a future that has ended."""

    def __init__(self, state: str) -> None:
        self.state, self.status = state, "lost" if state == "lost" else "finished"

    def done(self) -> bool:
        """An attempt without an end goes on for ever."""
        return self.state != "goes on"

    def result(self) -> tuple[object, ...]:
        """What `run_shard` returned."""
        if self.state == "died":
            import distributed  # not by those that choose other tests of this module

            raise distributed.KilledWorker("shard", None, 0)
        return self.state, "why", ()


def ends(script: dict[int, list[str]], left: int = 1) -> tuple[dict[int, ShardEnd], list[tuple[int, int, int]]]:
    """Run shards on such a client, and return how each ended, and what was begun."""
    engine, client, found = DaskEngine(2), Workers(script, left), dict[int, ShardEnd]()
    engine._client = client
    engine.run(Path("shards"), [*script], found.__setitem__, lambda: False)
    return found, client.begun


def test_a_shard_is_tried_again_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three errors or twenty deaths end it; one after the other has no more than its slot; each try has a number."""
    monkeypatch.setattr("evalkit.runner.engines.dask.POLL_S", 0)
    found, begun = ends({1: ["failed", "died", "sealed"], 2: ["failed"] * 3, 3: ["died", *["failed"] * 3]})
    assert {number: end.state for number, end in found.items()} == {1: "sealed", 2: "failed", 3: "failed"}
    assert [attempt for number, attempt, _ in begun if number == 3] == [1, 2, 3, 4]
    assert {slot for _, _, slot in begun} == {0, 1}
    found, begun = ends({1: ["died"] * 20})
    assert found == {1: ShardEnd("failed", "20 workers died while they ran it")}


def test_a_cluster_that_is_lost_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scheduler, or all workers: never a run that waits for ever."""
    monkeypatch.setattr("evalkit.runner.engines.dask.POLL_S", 0)
    with pytest.raises(EvalkitError, match="the scheduler of Dask is lost; every finished case is kept, continue with"):
        ends({1: ["lost"]})
    monkeypatch.setattr("evalkit.runner.engines.dask.LOOK_S", 0.01)
    monkeypatch.setattr("evalkit.runner.engines.dask.WORKERLESS_S", 0.03)
    with pytest.raises(EvalkitError, match="no worker of Dask is left; every finished case is kept, continue with"):
        ends({1: ["goes on"]}, left=0)
