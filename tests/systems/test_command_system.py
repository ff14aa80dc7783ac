"""Programs as systems, with real processes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.systems import CommandSystem, Shared
from evalkit.types import Failure, Message, Output, Usage


def program(code, **options):
    """A system that runs python code."""
    return CommandSystem(**{"command": (sys.executable, "-c", code), "timeout_s": 60, **options})


def test_the_case_is_json_on_standard_input(shared, ask, case):
    """Id, input, contexts, cohorts and kind are sent; the reference and fields that are not named are not."""
    row = case(
        (Message("user", "é\ud800"),),
        reference=("right",),
        contexts=("p",),
        cohorts={"domain": "aml"},
        fields={"tenant": "t", "required": ["x"]},
    )
    (output,) = ask(program("import sys; print(sys.stdin.read())", fields=("tenant",)), shared, row)
    assert {
        "id": "c1",
        "input": [{"role": "user", "content": "é\ud800"}],
        "contexts": ["p"],
        "cohorts": {"domain": "aml"},
        "kind": "golden",
        "tenant": "t",
    } == json.loads(output.text)


@pytest.mark.parametrize(
    ("printed", "output"),
    [
        (b"plain text\r\n", Output(text="plain text")),
        (b"two\nlines\n", Output(text="two\nlines")),
        (b'{"text": "a", "usage": {"output_tokens": 2}}\n', Output(text="a", usage=Usage(output_tokens=2))),
        (b'{"text": ""}', Output(text="")),
        (b'{"amount": 3}\n', Output(text='{"amount": 3}')),
        (b"{not json}", Output(text="{not json}")),
        (b'\xef\xbb\xbf{"text": "a"}', Output(text="a")),
        (b"a\0b\xe2\x80\xa8c", Output(text="a\0b\u2028c")),
        (b'{"text": 5}', Failure("bad_output", "text: expected a string, got int 5")),
        (
            b"caf\xe9",
            Failure(
                "bad_output",
                "the command's output is not UTF-8 (byte 0xe9 at 4); print UTF-8, in Python with "
                "PYTHONIOENCODING=utf-8",
            ),
        ),
        (b" \n", Failure("bad_output", 'the command printed nothing; print {"text": ""} for an empty answer')),
    ],
    ids=repr,
)
def test_what_is_printed_is_the_answer(printed, output, shared, ask, case):
    """An object with `text` describes the answer; anything else is the answer."""
    (ended,) = ask(program(f"import sys; sys.stdout.buffer.write({printed!r})"), shared, case())
    if isinstance(ended, Output):
        assert ended.latency_s > 0
        ended = Output(text=ended.text, usage=ended.usage)
    assert output == ended


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("import sys; print('half'); sys.exit('first\\nlast line, sk-canary')", Failure("exit_1", "last line, ***")),
        ("import sys; sys.exit(3)", Failure("exit_3", "nothing on standard error")),
        ("import os; os.kill(os.getpid(), 9)", Failure("signal_9", "nothing on standard error")),
        ("import os; os.write(2, b'x' * 10_000_000 + b'\\nend\\n'); os._exit(2)", Failure("exit_2", "end")),
    ],
)
def test_an_exit_code_is_a_failure(code, failure, tmp_path, ask, case):
    """A program that fails ends its case with its code and the last line of its errors, without secrets."""
    shared = Shared(root=tmp_path, project=tmp_path, env={"BOT_TOKEN": "sk-canary"})
    assert [failure] == ask(program(code), shared, case())


def test_blank_lines_on_standard_error_raise_nothing(shared, ask, case, caplog):
    """More of them than is kept of the errors."""
    (output,) = ask(program("import sys; sys.stderr.write('\\n' * 200_000); print('done')"), shared, case())
    assert ("done", []) == (output.text, caplog.records)


def test_output_is_capped(shared, ask, case):
    """A program that prints without end is stopped."""
    (ended,) = ask(program("while True: print('x' * 1000)", max_bytes=100_000), shared, case())
    assert Failure("too_large", "it printed more than max_bytes (100000); raise it if this is meant") == ended


def test_a_program_that_does_not_read_its_input_answers(shared, ask, case):
    """A closed standard input is not a failure, however long the case is."""
    (output,) = ask(program("import os; os.close(0); print('done')"), shared, case("x" * 5_000_000))
    assert "done" == output.text


HANGING = CommandSystem(command=("/bin/sh", "-c", "sleep 600 & echo $! > pids; wait"))


def is_running(pid):
    """True while a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid):
    """Wait until a process is gone."""
    for _ in range(30_000):
        if not is_running(pid):
            return True
        time.sleep(0.02)
    return False


def test_a_time_out_kills_the_whole_group(tmp_path, shared, ask, case):
    """At the time-out the program is killed with the processes that it started."""
    for timeout_s in (1.5, 15, 150):  # a busy machine may need longer to start the program
        (ended,) = ask(replace(HANGING, timeout_s=timeout_s), shared, case())
        assert Failure("timeout", f"no answer within {timeout_s} s") == ended
        if (tmp_path / "pids").exists() and (tmp_path / "pids").read_text(encoding="utf-8"):
            break
    assert gone(int((tmp_path / "pids").read_text(encoding="utf-8")))


@pytest.mark.parametrize("starting_s", [0.0, 1.0])
def test_cancellation_kills_the_whole_group(starting_s, tmp_path, shared, case):
    """A cancelled call leaves no process behind, not even where its program runs before its pipes are ours."""

    async def cancel():
        loop = asyncio.get_running_loop()
        start = loop.subprocess_exec

        async def slow_start(*words, **settings):
            started = await start(*words, **settings)
            await asyncio.sleep(starting_s)
            return started

        loop.subprocess_exec = slow_start
        async with HANGING.open(shared) as answer:
            task = asyncio.create_task(answer(case(), 0))
            for _ in range(60_000):
                if (tmp_path / "pids").exists() and (tmp_path / "pids").read_text(encoding="utf-8"):
                    break
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancel())
    assert gone(int((tmp_path / "pids").read_text(encoding="utf-8")))


def test_a_process_that_left_the_group_does_not_hold_the_call(tmp_path, shared, ask, case):
    """A child in a session of its own keeps the pipes open; the call ends all the same."""
    code = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"], start_new_session=True)
time.sleep(600)
"""
    (ended,) = ask(program(code, timeout_s=1.5), shared, case())
    assert "timeout" == ended.kind


def test_there_is_no_shell(tmp_path, shared, ask, case):
    """A line is split into arguments; what a shell would read is passed on as it is."""
    script = tmp_path / "show args.py"
    script.write_text("import sys; print(sys.argv[1:])", encoding="utf-8")
    system = CommandSystem(command=f"{sys.executable} 'show args.py' $(id) ; `id` $HOME > out")
    (output,) = ask(system, shared, case())
    assert ["$(id)", ";", "`id`", "$HOME", ">", "out"] == json.loads(output.text.replace("'", '"'))


def test_the_environment_is_the_one_given(tmp_path, ask, case):
    """A program sees the variables of the run and no others."""
    shared = Shared(root=tmp_path, project=tmp_path, env={"MODEL": "m1"})
    code = "import os; print(os.environ.get('MODEL'), os.environ.get('HOME'))"
    (output,) = ask(program(code), shared, case())
    assert "m1 None" == output.text


def test_a_program_beside_the_suite_is_found(tmp_path, shared, ask, case):
    """A path is relative to the suite's folder, and must be executable."""
    script = tmp_path / "bot"
    script.write_text(f"#!{sys.executable}\nprint('from a file')\n", encoding="utf-8")
    system = CommandSystem(command="./bot")
    (problem,) = system.problems(shared)
    assert "system.command: no program './bot' that can be run" in str(problem)
    os.chmod(script, 0o700)
    assert [] == system.problems(shared)
    (output,) = ask(system, shared, case())
    assert "from a file" == output.text


def test_a_row_without_a_field_to_send_fails(shared, ask, case):
    """A field that the suite names and the row lacks fails its case only."""
    (ended,) = ask(program("print(1)", fields=("tenant",)), shared, case())
    assert "missing_field" == ended.kind


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"command": ""}, r"^command: no program; write "),
        ({"command": ()}, r"^command: no program"),
        ({"command": "bot 'open"}, r"^command: No closing quotation; close the quotes"),
        ({"command": "bot", "fields": ("reference",)}, r"^fields: a system is never shown the `reference`"),
        ({"command": "bot", "max_bytes": 0}, r"^max_bytes: "),
    ],
)
def test_a_wrong_configuration_is_refused(options, message):
    """Each refusal names the field, what is wrong and the fix."""
    with pytest.raises(ValueError, match=message):
        CommandSystem(**options)


def test_the_fingerprint_follows_the_files(tmp_path, shared):
    """A change of a script that the command names, or of a module beside it, is another system."""
    (tmp_path / "bot.py").write_text("print(1)", encoding="utf-8")
    system = CommandSystem(command=("python", "bot.py", "x" * 5000))
    first = system.fingerprint(shared)
    assert first == system.fingerprint(shared)
    (tmp_path / "bot.py").write_text("print(2)", encoding="utf-8")
    second = system.fingerprint(shared)
    (tmp_path / "helper.py").write_text("", encoding="utf-8")
    assert 3 == len({first, second, system.fingerprint(shared)})
    assert first != CommandSystem(command=("python", "bot.py")).fingerprint(shared)


@pytest.mark.slow
def test_what_holds_standard_output_open_is_named(shared, ask, case):
    """A command that has ended and left a process that may still write has no complete answer; the failure says so."""
    code = (
        "import subprocess, sys; print('half an answer', flush=True); "
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    )
    (ended,) = ask(program(code, timeout_s=8), shared, case("x"))
    assert isinstance(ended, Failure)
    assert ended.kind == "timeout"
    assert ended.message.startswith("no answer within 8 s; the command had ended, but a process that it started holds")
    (ended,) = ask(program("import time; time.sleep(600)", timeout_s=1), shared, case("x"))
    assert ended == Failure("timeout", "no answer within 1 s")


@pytest.mark.parametrize(
    "printed",
    [
        '{"text": "ok',
        '{"text": "ok", "latency_s": NaN}',
        '{"text": "ok"}{"text": "no"}',
        '{"text": "ok", "usage": {"input_tokens": ' + "9" * 5_000 + "}}",
        '{"text": "ok", "a": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
    ids=["half", "NaN", "two", "huge number", "deep"],
)
def test_a_description_that_cannot_be_read_is_not_an_answer(printed, shared, ask, case):
    """An object that begins with `text` describes an answer; read as plain text, its words could pass a scorer."""
    (ended,) = ask(program(f"print({printed!r})" if len(printed) < 10_000 else DEEP), shared, case("x"))
    assert isinstance(ended, Failure)
    assert ended.kind == "bad_output"
    assert ended.message.startswith("the command printed an object with `text` that is not JSON")


DEEP = """print('{"text": "ok", "a": ' + '[' * 100_000 + ']' * 100_000 + '}')"""
