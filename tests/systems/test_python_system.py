"""Python callables as systems."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import apps as _apps
import pytest

from evalkit.errors import InputError
from evalkit.systems import PythonSystem, Shared
from evalkit.types import Failure, Message, Output, Step, ToolCall, Usage


def system(name, **options):
    """A system of this folder's `apps`."""
    return PythonSystem(python=f"apps:{name}", **options)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("echo", {}, "hi"),
        ("echo_async", {}, "hello c1 hi ['p'] {'domain': 'aml'} golden"),
        ("echo_async", {"arguments": {"greeting": "bye"}}, "bye c1 hi ['p'] {'domain': 'aml'} golden"),
        ("everything", {"arguments": {"model": "m"}}, "cohorts,contexts,id,kind,model"),
        ("own_field", {}, "['t', 'changed by the system'] free"),
        ("returns_coroutine", {}, "hello i hi [] {} golden"),
        ("bot.answer", {}, "bot hi"),
        ("async_bot", {}, "async bot hi"),
    ],
)
def test_a_callable_gets_what_its_signature_names(name, options, text, case, ask, apps):
    """Each callable gets the input, the fields it names and the arguments, and nothing else."""
    row = case(contexts=("p",), cohorts={"domain": "aml"}, fields={"tenant": ["t"], "required": ["secret"]})
    assert [] == system(name, **options).problems(apps)
    (output,) = ask(system(name, **options), apps, row)
    assert text == output.text
    assert {"tenant": ["t"], "required": ["secret"]} == row.fields


def test_a_chat_input_is_a_list_of_turns(case, ask, apps):
    """Chat turns reach the callable as mappings, and a list is not an answer."""
    (ended,) = ask(system("echo"), apps, case(input=(Message("user", "hello"),)))
    assert ended == Failure(
        "bad_output", "expected a string or {text, contexts, usage, tool_calls, trajectory}, got list"
    )


def test_every_part_of_an_answer_is_read(case, ask, apps):
    """A mapping gives text, contexts, usage, tool calls, trajectory and time to first token."""
    (output,) = ask(system("structured"), apps, case())
    assert output.latency_s > 0
    assert output == Output(
        text="re: hi",
        contexts=("a", "b"),
        usage=Usage(input_tokens=3, output_tokens=4, cost_usd=0.5, model="m"),
        tool_calls=(ToolCall("look", {"x": 1}),),
        trajectory=(Step(details={"step": 1}),),
        ttft_s=0.25,
        latency_s=output.latency_s,
    )


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("fails", Failure("exception", "RuntimeError: first line second line, key ***")),
        ("stops", Failure("exception", "SystemExit: 3")),
        ("stops_async", Failure("exception", "SystemExit: 3")),
        ("cancels_itself", Failure("exception", "CancelledError: the system cancelled its own call")),
        ("raises_stop_iteration", Failure("exception", "RuntimeError: coroutine raised StopIteration")),
        ("times_out_itself", Failure("timeout", "the system timed out: the model took 9 s")),
        ("never", Failure("timeout", "no answer within 0.1 s")),
        ("own_field", Failure("missing_field", "the callable needs `tenant`, which this row does not have")),
    ],
)
def test_a_failing_callable_is_a_failure_of_its_case(name, failure, case, ask, apps):
    """Whatever a callable raises ends its own case, in one line, without secrets."""
    assert [failure] == ask(system(name, timeout_s=0.1 if name == "never" else 600), apps, case())


def test_a_blocking_callable_stalls_nobody(case, apps):
    """While one call blocks, every other call is answered."""
    _apps.RELEASE.clear()

    async def others_while_one_blocks():
        async with system("wait_if_told", timeout_s=600).open(apps) as answer:
            blocked = asyncio.create_task(answer(case("block"), 0))
            others = await asyncio.gather(*(answer(case(str(i)), 0) for i in range(50)))
            assert not blocked.done()
            _apps.RELEASE.set()
            return await blocked, others

    blocked, others = asyncio.run(others_while_one_blocks())
    assert "late" == blocked.text
    assert [str(i) for i in range(50)] == [output.text for output in others]


def test_hung_calls_are_bounded(case, ask, apps):
    """Beyond a hundred calls that hang past their time-out, a call is refused instead of given a thread."""
    _apps.RELEASE.clear()
    try:
        ends = ask(system("wait", timeout_s=0.2), apps, *(case(id=str(i)) for i in range(110)))
    finally:
        _apps.RELEASE.set()
    assert {"timeout": 104, "hung": 6} == {kind: sum(end.kind == kind for end in ends) for kind in ("timeout", "hung")}


def test_a_hung_call_does_not_keep_the_process_alive(tmp_path):
    """A process whose system hangs past its time-out still ends."""
    (tmp_path / "hanging_bot.py").write_text("import time\ndef answer(input):\n    time.sleep(600)\n", encoding="utf-8")
    code = f"""
import asyncio, pathlib
from evalkit.systems import PythonSystem, Shared
from evalkit.types import Case
folder = pathlib.Path({str(tmp_path)!r})
async def main():
    async with PythonSystem(python="hanging_bot:answer", timeout_s=0.1).open(Shared(folder, folder)) as answer:
        assert (await answer(Case(id="a", input="q"), 0)).kind == "timeout"
asyncio.run(main())
"""
    assert 0 == subprocess.run([sys.executable, "-c", code], timeout=600, check=False).returncode


def test_cancellation_is_let_through(case, apps):
    """A call that is cancelled from outside raises the cancellation."""

    async def cancel():
        async with system("never").open(apps) as answer:
            task = asyncio.create_task(answer(case(), 0))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancel())


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("apps:wants_reference", "never shown the `reference`"),
        ("apps:no_input", "takes no `input`, but question; name a parameter `input`"),
        ("apps:by_position", "by position only; remove the `/`"),
        ("apps:nothing_here", "has no attribute 'nothing_here'; define `nothing_here`"),
        ("apps:not_callable", "not_callable is int, not a callable"),
        ("nowhere:answer", "importing nowhere failed: ModuleNotFoundError"),
        ("exiting_bot:answer", "importing exiting_bot failed: exiting_bot.py:1: SystemExit: 3"),
        ("builtins:dict", "no signature"),
        ("json:loads", "another module called json is loaded already"),
    ],
)
def test_what_cannot_be_called_is_found_before_the_first_call(name, problem, tmp_path):
    """Modules that fail to import, missing names and wrong signatures are problems, and `open` refuses them."""
    (tmp_path / "exiting_bot.py").write_text("raise SystemExit(3)", encoding="utf-8")
    (tmp_path / "json.py").write_text("def loads(input): return 1", encoding="utf-8")
    shared = Shared(root=tmp_path, project=tmp_path)
    found = PythonSystem(python=name).problems(shared)
    assert problem in str(found[0])

    async def open_it():
        async with PythonSystem(python=name).open(shared):
            raise AssertionError("opened")

    with pytest.raises(InputError, match=r"system\.python: "):
        asyncio.run(open_it())


@pytest.mark.parametrize(
    ("file", "name", "fix"),
    [
        ("evals/lone_bot.py", "lone_bot:answer", "write `evals.lone_bot`, the path from the project's root, {root}"),
        ("evals/desk/bot.py", "desk.bot:answer", "write `evals.desk.bot`, the path from the project's root, {root}"),
        (
            "my-evals/lone_bot.py",
            "lone_bot:answer",
            "see that `python -c 'import lone_bot'` works in the project's root, {root}",
        ),
        (
            ".venv/lone_bot.py",
            "lone_bot:answer",
            "see that `python -c 'import lone_bot'` works in the project's root, {root}",
        ),
    ],
)
def test_a_module_beside_the_suite_is_named_from_the_root(file, name, fix, tmp_path):
    """A newcomer writes the path from the suite; the problem says the one from the project's root."""
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("def answer(input): return input", encoding="utf-8")
    (problem,) = PythonSystem(python=name).problems(Shared(root=tmp_path, project=tmp_path))
    assert fix.format(root=tmp_path) in str(problem)


def test_a_package_that_is_missing_is_no_module_beside_the_suite(tmp_path):
    """A module that is found, and whose own import fails, is not said to be another one of the same name."""
    (tmp_path / "old").mkdir()
    for place in ("lacking_bot.py", "old/lacking_bot.py"):
        (tmp_path / place).write_text("import a_package_that_is_missing", encoding="utf-8")
    (problem,) = PythonSystem(python="lacking_bot:answer").problems(Shared(root=tmp_path, project=tmp_path))
    assert "a_package_that_is_missing" in str(problem)
    assert "old.lacking_bot" not in str(problem)


def test_unknown_arguments_are_a_problem(apps):
    """An argument that the callable does not take is named with those it takes."""
    (problem,) = system("echo", arguments={"temprature": 0}).problems(apps)
    assert "system.arguments.temprature: the callable takes no such argument; it takes input" == str(problem)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"python": "bot.answer"}, r"^python: expected `module:callable`"),
        ({"python": "../bot:answer"}, r"^python: expected `module:callable`"),
        ({"python": "b:a", "timeout_s": 0}, r"^timeout_s: expected seconds above 0, got 0; "),
        ({"python": "b:a", "timeout_s": float("nan")}, r"^timeout_s: "),
        ({"python": "b:a", "timeout_s": float("inf")}, r"^timeout_s: "),
        ({"python": "b:a", "arguments": {"input": 1}}, r"^arguments: `input` cannot be set"),
    ],
)
def test_a_wrong_configuration_is_refused(options, message):
    """Each refusal names the field, what is wrong and the fix."""
    with pytest.raises(ValueError, match=message):
        PythonSystem(**options)


def test_a_long_answer_is_flagged_and_not_kept(case, ask, apps):
    """Bytes count, not letters; what is just short enough goes through."""
    (kept,) = ask(system("echo", max_bytes=4), apps, case(input="äé"))
    assert kept.text == "äé"
    (long,) = ask(system("echo", max_bytes=3), apps, case(input="äé"))
    assert long == Failure("too_large", "the answer has 4 bytes, more than max_bytes (3); raise it if this is meant")


@pytest.mark.parametrize(
    "more", [{"contexts": ["x" * 100]}, {"stop": "x" * 100}, {"fault": "x" * 100}, {"usage": {"model": "x" * 100}}]
)
def test_everything_that_a_row_stores_of_an_answer_counts(case, ask, tmp_path, more):
    """A row that is longer than a line may be could be written and never read again."""
    (tmp_path / "long_answers.py").write_text(f"def answer(input): return { ({'text': 'abc', **more})!r}\n")
    shared = Shared(root=tmp_path, project=tmp_path)
    sys.modules.pop("long_answers", None)
    (ended,) = ask(PythonSystem(python="long_answers:answer", max_bytes=90), shared, case())
    assert isinstance(ended, Failure)
    assert ended.kind == "too_large"
