"""A system that raises, cancels, blocks, leaks, lies about numbers or changes the process costs its own case only."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

BODIES = {
    # What is raised.
    "exits": "sys.exit(0)",
    "exits_in_words": "sys.exit('done')",
    "interrupts": "raise KeyboardInterrupt",
    "closes_generator": "raise GeneratorExit",
    "panics": "raise Panic('index out of bounds')",
    "panics_in_a_group": "raise BaseExceptionGroup('g', [KeyboardInterrupt(), ValueError(1)])",
    "stops_iterating": "raise StopIteration(5)",
    "cancels": "raise asyncio.CancelledError",
    "cannot_be_shown": "raise Unshown",
    "times_out_and_leaves": "raise Slow",
    "is_shown_by_a_text_that_leaves": "raise Worded",
    "has_a_class_that_interrupts": "raise Classless",
    "recurses": "f = lambda: f(); f()",
    "lacks_memory": "raise MemoryError",
    # Numbers that no call has.
    "tokens_of_400_digits": "return {'text': ok, 'usage': {'input_tokens': 10**400}}",
    "tokens_of_6000_digits": "return {'text': ok, 'usage': {'output_tokens': 10**6000}}",
    "tokens_beyond_64_bits": "return {'text': ok, 'usage': {'input_tokens': 2**63}}",
    "negative_tokens": "return {'text': ok, 'usage': {'input_tokens': -1}}",
    "true_tokens": "return {'text': ok, 'usage': {'input_tokens': True}}",
    "spelled_tokens": "return {'text': ok, 'usage': {'input_tokens': '3'}}",
    "listed_tokens": "return {'text': ok, 'usage': {'input_tokens': [3]}}",
    "listed_usage": "return {'text': ok, 'usage': [3]}",
    "cost_of_1e308": "return {'text': ok, 'usage': {'cost_usd': 1e308}}",
    "infinite_cost": "return {'text': ok, 'usage': {'cost_usd': float('inf')}}",
    "cost_that_is_none": "return {'text': ok, 'usage': {'cost_usd': float('nan')}}",
    "latency_of_1e308": "return {'text': ok, 'latency_s': 1e308}",
    "first_token_of_1e300": "return {'text': ok, 'ttft_s': 1e300}",
    "argument_of_6000_digits": "return {'text': ok, 'tool_calls': [{'name': 'f', 'arguments': {'a': 10**6000}}]}",
    "step_of_6000_digits": "return {'text': ok, 'trajectory': [{'a': [10**6000]}]}",
    "infinite_argument": "return {'text': ok, 'tool_calls': [{'name': 'f', 'arguments': {'a': float('inf')}}]}",
    # Values that are not what they seem.
    "no_string": "return b'Paris'",
    "evil_mapping": "return Evil(text=ok)",
    "answer_in_itself": "a = {}; a['a'] = a; return {'text': ok, 'trajectory': [a]}",
}
"""What the system does with one case, which then has no answer."""
HARMLESS = {
    # What stays behind, or is changed.
    "evil_string": "return {'text': Text(ok), 'tool_calls': [{'name': Text('f'), 'arguments': {'a': Text('v')}}]}",
    "lying_integer": "return {'text': ok, 'usage': {'input_tokens': Count(3)}}",
    "raises_when_collected": "Dying(); return ok",
    "thread_without_end": "threading.Thread(target=time.sleep, args=[100000]).start(); return ok",
    "thread_that_exits": "t = threading.Thread(target=sys.exit); t.start(); t.join(); return ok",
    "goes_elsewhere": "os.chdir('/'); return ok",
    "goes_nowhere": "d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d); return ok",
    "empties_environment": "os.environ.clear(); return ok",
    "masks_files": "os.umask(0o777); return ok",
    "hates_warnings": "warnings.simplefilter('error'); return ok",
    "silences_logging": "logging.disable(50); return ok",
    "seeds": "random.seed(0); return ok",
    "no_sockets": "socket.setdefaulttimeout(1e-6); return ok",
    "closes_output": "sys.stdout.close(); sys.stderr.close(); return ok",
    "closes_descriptors": "os.close(0); os.close(1); os.close(2); return ok",
    "stops_the_clock": "time.monotonic = time.perf_counter = lambda: 0.0; return ok",
    "sleeps_otherwise": "asyncio.sleep = slept; return ok",
    "forgets_modules": "sys.path.clear(); return ok",
    "switches_rarely": "sys.setswitchinterval(100); return ok",
    "freezes": "gc.freeze(); gc.disable(); return ok",
    "new_policy": "asyncio.set_event_loop_policy(None); return ok",
    "shallow": "sys.setrecursionlimit(60); return ok",
    "shallow_for_a_while": "sys.setrecursionlimit(20); time.sleep(1); return ok",
    "writes_commands": "print('::set-output name=x::y'); return ok",
}
"""What it does before it gives a right answer."""
ASYNC = {
    "swallows_cancellation": "while True:\n        try: await asyncio.sleep(1000)\n        except: pass",
    "blocks": "time.sleep(1000)",
    "cancels_its_task": "asyncio.current_task().cancel(); await asyncio.sleep(1)",
    "cancels_every_task": "[t.cancel() for t in asyncio.all_tasks()]; await asyncio.sleep(1)",
    "closes_the_loop": "asyncio.get_running_loop().close()",
    "exits_in_a_task": "await asyncio.create_task(leave())",
    "interrupts_in_a_gathering": "await asyncio.gather(leave(KeyboardInterrupt), leave(ValueError))",
}
ASYNC_HARMLESS = {
    "stops_the_loop": "asyncio.get_running_loop().stop(); await asyncio.sleep(0); return ok",
    "exits_in_a_callback": "asyncio.get_running_loop().call_soon(sys.exit); await asyncio.sleep(0.01); return ok",
    "leaks_a_task": "asyncio.create_task(swallow()); return ok",
    "leaks_an_executor": "asyncio.get_running_loop().run_in_executor(None, time.sleep, 100000); return ok",
    "leaks_a_generator": "g = endless(); await anext(g); return ok",
}
BOT = """\
import asyncio, gc, logging, os, random, socket, sys, tempfile, threading, time, warnings
ok = 'Paris'
class Panic(BaseException): pass
class Unshown(Exception):
    def __str__(self): raise Panic('no words')
    __repr__ = __str__
class Slow(TimeoutError):
    def __str__(self): raise SystemExit(0)
class Leaves(str):
    def leave(self, *given): raise SystemExit(0)
    split = __getitem__ = __len__ = __iter__ = __str__ = strip = leave
class Worded(Exception):
    def __str__(self): return Leaves('words')
class Classless(Exception):
    __class__ = property(lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
class Evil(dict):
    def __iter__(self): raise KeyboardInterrupt
    get = items = __getitem__ = __iter__
class Text(str):
    def __str__(self): raise Panic('no text')
    def encode(self, *a): raise Panic('no bytes')
    def __len__(self): return 0
class Count(int):
    def __repr__(self): return 'evil'
class Dying:
    def __del__(self): raise Panic('dying')
slept = asyncio.sleep
async def leave(error=SystemExit): raise error
async def swallow():
    while True:
        try: await asyncio.sleep(1000)
        except asyncio.CancelledError: pass
async def endless():
    try:
        while True: yield 1
    finally: sys.exit(0)
"""
SUITE = """\
name: hostile
golden: cases.jsonl
system: {python: "bot:answer", version: "1", timeout_s: TIMEOUT}
scorers: [exact]
concurrency: 4
gate:
  - pass_rate: LEAST
  - coverage: {min: 0.01}
"""


class Ended(NamedTuple):
    """A run, and how each of its cases ended."""

    code: int
    said: str
    rows: dict[str, dict[str, Any]]
    folder: Path


def project(root: Path, bot: str, ids: list[str], *, timeout: float = 30, least: float = 0.01) -> None:
    """Write a project with a case for each id."""
    (root / "pyproject.toml").touch()
    (root / "bot.py").write_text(bot, encoding="utf-8")
    (root / "suite.yaml").write_text(
        SUITE.replace("TIMEOUT", str(timeout)).replace("LEAST", str(least)), encoding="utf-8"
    )
    rows = [{"id": name, "input": name, "reference": "Paris"} for name in ids]
    (root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def evalkit(root: Path, *words: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "evalkit", *words], cwd=root, env={**os.environ, **(env or {})},
        capture_output=True, text=True, check=False, timeout=180, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def ended(root: Path, *flags: str, env: dict[str, str] | None = None) -> Ended:
    """Run the suite to its end."""
    ran = evalkit(root, "run", "suite.yaml", "--out", "o", "--progress", "none", *flags, env=env)
    journal = root / "o" / "rows.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    rows = [row for line in lines if (row := json.loads(line).get("row"))]
    return Ended(ran.returncode, ran.stdout + ran.stderr, {row["case"]["id"]: row for row in rows}, root / "o")


def one_function_each(bodies: dict[str, str], prefix: str) -> str:
    """A bot that does with each case what its id says."""
    made = [f"{prefix} {name}():\n    {body}\n" for name, body in bodies.items()]
    call = "await found()" if prefix.startswith("async") else "found()"
    last = f"{prefix} answer(input):\n    found = globals().get(input)\n    return {call} if found else ok\n"
    return BOT + "".join([*made, last])


def decided(run: Ended) -> bool:
    """Whether a complete decision of the run is there."""
    file = run.folder / "decision.json"
    if not file.exists():
        return False
    decision = json.loads(file.read_bytes())
    return bool(decision["run_id"] == json.loads((run.folder / "manifest.json").read_bytes())["run_id"])


@pytest.mark.parametrize(("prefix", "more"), [("def", {}), ("async def", ASYNC)], ids=["sync", "async"])
def test_what_a_system_does_to_one_case_ends_no_other(prefix: str, more: dict[str, str], tmp_path: Path) -> None:
    """Each has a row with a named failure, the others are answered, and the stored rows can be reported and resumed."""
    bodies = {**BODIES, **more}
    ids = [name for pair in zip((f"sound{n}" for n in range(len(bodies))), bodies, strict=True) for name in pair]
    project(tmp_path, one_function_each(bodies, prefix), ids, timeout=4 if more else 30)
    run = ended(tmp_path)
    assert set(run.rows) == set(ids), run.said
    assert {name for name in bodies if "failure" not in run.rows[name]} == set()
    assert all(run.rows[name]["failure"]["kind"] in ("exception", "bad_output", "timeout") for name in bodies)
    numbers = [name for name in BODIES if "return {" in BODIES[name]]
    assert {run.rows[name]["failure"]["kind"] for name in numbers} == {"bad_output"}
    hit = sum("failure" in run.rows[f"sound{number}"] for number in range(len(bodies)))
    assert hit <= (6 if more else 0)  # on the loop that was blocked, or whose every task was cancelled
    assert decided(run)
    assert run.code == json.loads((run.folder / "decision.json").read_bytes())["exit_code"]
    assert evalkit(tmp_path, "report", "o").returncode == 0
    assert ended(tmp_path, "--resume").code == run.code


@pytest.mark.parametrize(("prefix", "more"), [("def", {}), ("async def", ASYNC_HARMLESS)], ids=["sync", "async"])
def test_what_a_system_changes_or_leaves_behind_ends_nothing(prefix: str, more: dict[str, str], tmp_path: Path) -> None:
    """Every answer is graded, the decision is written where it belongs, and the process ends."""
    bodies = {**HARMLESS, **more}
    project(tmp_path, one_function_each(bodies, prefix), list(bodies))
    run = ended(tmp_path)
    assert {name: row.get("failure") for name, row in run.rows.items()} == dict.fromkeys(bodies), run.said
    assert run.code == 0, run.said
    assert decided(run)
    assert (run.folder / "report.html").stat().st_mode & 0o600 == 0o600
    assert "approved" in run.said.lower()


FINAL = {
    # The process ends in the middle of a call: never with 0, and with no code that says something of the suite.
    "exits_for_good": ("os._exit(0)", 4),
    "exits_for_good_as_blocked": ("os._exit(1)", 4),
    "exits_for_good_in_a_thread": ("threading.Thread(target=os._exit, args=[0]).start(); time.sleep(1000)", 4),
    "exits_past_python": ("ctypes.CDLL(None)._exit(0)", 4),
    "becomes_another_program": ("os.execv('/bin/true', ['true'])", 4),
    "kills_itself": ("os.kill(os.getpid(), signal.SIGKILL)", -9),
    "crashes": ("ctypes.string_at(0)", -11),
    "closes_every_descriptor": ("os.closerange(0, 64); return ok", 4),
    # Everything is decided first; then somebody is at the decision.
    "exits_at_exit": ("atexit.register(os._exit, 0); return 'wrong'", 1),
    "deletes_its_decision": ("atexit.register(os.remove, 'o/decision.json'); return ok", 4),
    "deletes_its_run": ("atexit.register(shutil.rmtree, 'o'); return ok", 4),
    "forges_its_decision": ("atexit.register(forge); return 'wrong'", 4),
    "empties_its_decision": ("atexit.register(os.truncate, 'o/decision.json', 0); return ok", 4),
    "deletes_its_run_before": ("shutil.rmtree('o'); os.mkdir('o'); return ok", 4),
    "cuts_its_rows": ("wait(); os.truncate('o/rows.jsonl', 0); return ok", 4),
    "adds_to_its_rows": ("open('o/rows.jsonl', 'a').write('{}\\n'); return ok", 4),
    "makes_json_empty": ("json.dumps = lambda *given, **named: '{}'; return ok", 4),
    "lets_nobody_exit": ("sys.exit = lambda *given: None; return ok", 0),
    "stops_itself": ("os.kill(os.getpid(), signal.SIGSTOP); return ok", 0),
    "is_forked": ("os.fork(); return ok", 0),
    "forks_and_exits": ("os.fork() or sys.exit(0); return ok", 0),
}
FINAL_BOT = (
    BOT.replace("import ", "import atexit, ctypes, shutil, signal, json, ")
    + """\
def forge():
    said = json.load(open('o/decision.json'))
    json.dump({**said, 'outcome': 'approved', 'exit_code': 0}, open('o/decision.json', 'w'))
def wait():
    while not os.path.getsize('o/rows.jsonl'): time.sleep(.01)
def answer(input):
    if input == 'sound': return ok
    BODY
"""
)


IMPORTED = {
    "a handler of a signal leaves": (
        "signal.signal(signal.SIGALRM, lambda *_: sys.exit(0)); signal.setitimer(signal.ITIMER_REAL, .2, .2)"
    ),
    "a handler leaves before the first call": (
        "signal.signal(signal.SIGALRM, lambda *_: sys.exit(0)); signal.setitimer(signal.ITIMER_REAL, .01)"
    ),
    "an import of the gate leaves": (
        "class Finder:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith('evalkit.gate'): raise SystemExit(0)\n"
        "sys.meta_path.insert(0, Finder())"
    ),
    "a function of the gate leaves": (
        "def leave(frame, event, given):\n    if frame.f_code.co_name == 'decide': raise SystemExit(0)\n"
        "sys.setprofile(leave)"
    ),
    "a function of the gate leaves as blocked": (
        "def leave(frame, event, given):\n    if frame.f_code.co_name == 'decide': raise SystemExit(1)\n"
        "sys.setprofile(leave)"
    ),
}


@pytest.mark.parametrize("name", IMPORTED)
def test_a_command_without_a_decision_does_not_end_as_decided(name: str, tmp_path: Path) -> None:
    """Whatever leaves the command with 0 or 1, no decision stands behind it."""
    bot = f"import signal, sys, time\n{IMPORTED[name]}\ndef answer(input):\n    time.sleep(.3)\n    return 'wrong'\n"
    project(tmp_path, bot, ["one", "two"], least=0.9)
    run = ended(tmp_path, "--no-report")
    if "handler" in name and run.code == 1:  # it came too late: everything was decided before
        assert json.loads((run.folder / "decision.json").read_bytes())["exit_code"] == 1
        return
    assert run.code == 4, run.said
    # The third is a handler that leaves with 0 once the run has been decided as blocked.
    said = ("without a decision", "did not report that it had finished", "has no decision for exit code 0")
    assert any(words in run.said for words in said), run.said


@pytest.mark.parametrize("name", FINAL)
def test_an_exit_code_counts_only_with_the_decision_of_this_run(name: str, tmp_path: Path) -> None:
    """The process that was started checks, after everything of the system's has ended."""
    body, code = FINAL[name]
    project(tmp_path, FINAL_BOT.replace("BODY", body), ["sound", name], least=0.9)
    run = ended(tmp_path, "--no-report")
    assert run.code == code, run.said
    assert "a bug in evalkit" not in run.said
    assert "Traceback" not in run.said
    if code == 0:
        assert decided(run)
        assert len(run.rows) == 2
    if code == 4 and run.rows:
        assert "--resume" in " ".join(run.said.split())


@pytest.mark.parametrize("body", ["sys.exit(0)", "os._exit(0)", "raise KeyboardInterrupt", "raise Panic", "exit()"])
@pytest.mark.parametrize("words", [("run", "suite.yaml", "--out", "o"), ("check", "suite.yaml")], ids=["run", "check"])
def test_a_system_that_ends_the_process_at_import_is_never_green(
    words: tuple[str, ...], body: str, tmp_path: Path
) -> None:
    """`check` as well: 0 means that everything was checked."""
    project(tmp_path, BOT + body, ["a"])
    assert evalkit(tmp_path, *words).returncode in (2, 4)


HIDDEN = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY", "GITHUB_STATE", "GITHUB_TOKEN",
          "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")  # fmt: skip
PRINTS = "import json, os\nseen = json.dumps(sorted(os.environ))\n"
SYSTEMS = {
    "at import": ('{python: "bot:answer", version: "1"}', PRINTS + "def answer(input): return seen"),
    "in a thread": (
        '{python: "bot:answer", version: "1"}',
        PRINTS + "def answer(input): return json.dumps(sorted(os.environ))",
    ),
    "on a loop": (
        '{python: "bot:answer", version: "1"}',
        PRINTS + "async def answer(input): return json.dumps(sorted(os.environ))",
    ),
    "in a child": (
        '{python: "bot:answer", version: "1"}',
        "import subprocess, sys\ndef answer(input): return subprocess.run([sys.executable, '-c', "
        "'import json, os; print(json.dumps(sorted(os.environ)))'], capture_output=True, text=True).stdout",
    ),
    "of a command": (f"{{command: [{sys.executable}, bot.py]}}", PRINTS + "print(seen)"),
}


@pytest.mark.parametrize("place", SYSTEMS)
def test_a_system_is_not_shown_the_files_and_tokens_of_its_runner(place: str, tmp_path: Path) -> None:
    """Nor written to by evalkit itself; everything else of the environment is there."""
    system, bot = SYSTEMS[place]
    project(tmp_path, bot, ["a"])
    suite = tmp_path / "suite.yaml"
    text = suite.read_text(encoding="utf-8").splitlines()
    suite.write_text("\n".join([*text[:2], f"system: {system}", *text[3:]]), encoding="utf-8")
    files = {name: str(tmp_path / name) for name in HIDDEN}
    run = ended(tmp_path, "--no-report", env={**files, "GITHUB_ACTIONS": "true", "OWN": "kept"})
    seen = set(json.loads(run.rows["a"]["output"]["text"]))
    assert not seen & set(HIDDEN)
    assert {"OWN", "GITHUB_ACTIONS", "PATH"} <= seen
    assert not any((tmp_path / name).exists() for name in HIDDEN)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there are no terminals to hang up")
@pytest.mark.parametrize("ignored", [False, True], ids=["terminal", "nohup"])
def test_a_terminal_that_hangs_up_stops_a_run_in_order(ignored: bool, tmp_path: Path) -> None:
    """The calls in flight end and the resume line is printed, as after SIGTERM; what `nohup` started goes on."""
    bot = (
        "import pathlib, time\ndef answer(input):\n    pathlib.Path('asked').touch()\n"
        "    while not pathlib.Path('go').exists(): time.sleep(0.01)\n    return 'Paris'\n"
    )
    project(tmp_path, bot, [f"c{number}" for number in range(20)])
    process = subprocess.Popen(
        [sys.executable, "-m", "evalkit", "run", "suite.yaml", "--out", "o", "--progress", "none"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        preexec_fn=(lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) if ignored else None,
    )  # fmt: skip
    while not (tmp_path / "asked").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)  # a call that ended sooner would be in flight no more: only a weaker test
    (tmp_path / "go").touch()
    _, said = process.communicate(timeout=60)
    assert process.returncode == (0 if ignored else 129), said
    rows = (tmp_path / "o" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    if ignored:
        assert len(rows) == 20
    else:
        assert 1 <= len(rows) < 20
        assert "--out o --resume" in " ".join(said.split())
        assert ended(tmp_path, "--resume").code == 0


def test_a_run_dies_with_the_process_that_was_started(tmp_path: Path) -> None:
    """`kill -9` of the number that the shell knows leaves nothing running in the folder."""
    bot = "import time, pathlib\ndef answer(input):\n    pathlib.Path('asked').touch(); time.sleep(1000)"
    project(tmp_path, bot, ["a"])
    process = subprocess.Popen(
        [sys.executable, "-m", "evalkit", "run", "suite.yaml", "--out", "o", "--progress", "none"],
        cwd=tmp_path, stderr=subprocess.PIPE,
    )  # fmt: skip
    while not (tmp_path / "asked").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)  # the child holds the other end of the pipe for as long as it lives
    project(tmp_path, "def answer(input): return 'Paris'", ["a"])
    assert ended(tmp_path, "--resume").code == 0


def test_a_system_whose_objects_never_let_the_interpreter_end_does_not_keep_the_command(tmp_path: Path) -> None:
    """A coroutine that catches even its own closing runs on while Python shuts down, where no timer can end it."""
    bot = (
        "import asyncio\nasync def answer(input):\n    while input == 'stuck':\n"
        "        try: await asyncio.sleep(1000)\n        except: pass\n    return 'Paris'\n"
    )
    project(tmp_path, bot, ["stuck", "sound"], timeout=0.5)
    run = ended(tmp_path)
    assert run.code == 0, run.said
    assert decided(run)
    assert run.rows["stuck"]["failure"]["kind"] == "timeout"
