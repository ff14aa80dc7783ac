"""Steps of a plain Python agent, recorded while evalkit calls it."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

import evalkit
from evalkit.systems import PythonSystem
from evalkit.types import Failure

AGENT = """\
import asyncio, contextvars, threading
import evalkit
from concurrent.futures import ThreadPoolExecutor

@evalkit.tool
def get_order(order_id, fields=("status",)):
    return {"id": order_id, "fields": fields}

@evalkit.tool(name="refund")
async def pay_back(order_id):
    await asyncio.sleep(0)
    raise evalkit.ToolError("no approval")

@evalkit.tool
def odd(thing):
    return object
"""


def traced(tmp_path, shared, ask_all, body, case):
    """What a system of this body answers."""
    name = f"traced_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(AGENT + body, encoding="utf-8")
    (ended,) = ask_all(PythonSystem(python=f"{name}:answer"), shared, case)
    return ended


def shown(ended):
    """Kind, name, parent's name and error of each step."""
    names = {step.id: step.name for step in ended.trajectory}
    return [(step.kind, step.name, names.get(step.parent), step.error) for step in ended.trajectory]


NESTED = """
def answer(input):
    with evalkit.step("planner") as planner:
        with evalkit.step("model", kind="llm", arguments={"prompt": input}) as model:
            model.result = "call get_order"
            model.usage = {"input_tokens": 12, "output_tokens": 3}
        order = get_order("A-17")
        planner.result = order
    return "done"
"""


def test_steps_are_nested(tmp_path, shared, ask, case) -> None:
    """In the order in which they began, each with its parent, result, usage and times."""
    ended = traced(tmp_path, shared, ask, NESTED, case())
    assert shown(ended) == [
        ("node", "planner", None, None),
        ("llm", "model", "planner", None),
        ("tool", "get_order", "planner", None),
    ]
    planner, model, tool = ended.trajectory
    assert (model.arguments, model.result, model.usage.input_tokens) == ({"prompt": "hi"}, "call get_order", 12)
    assert tool.arguments == {"order_id": "A-17"}
    assert tool.result == {"id": "A-17", "fields": ["status"]}
    assert planner.started_s <= model.started_s <= model.ended_s <= tool.started_s <= tool.ended_s <= planner.ended_s
    assert [(call.name, call.arguments) for call in ended.tool_calls] == [("get_order", {"order_id": "A-17"})]


ASYNC = """
async def branch(name):
    with evalkit.step(name):
        await asyncio.sleep(0)
        try:
            await pay_back(name)
        except evalkit.ToolError:
            pass

async def answer(input):
    await asyncio.gather(branch("left"), branch("right"))
    return "done"
"""


def test_tasks_have_steps_of_their_own(tmp_path, shared, ask, case) -> None:
    """What runs at the same time is not nested into each other."""
    ended = traced(tmp_path, shared, ask, ASYNC, case())
    assert sorted(shown(ended), key=str) == [
        ("node", "left", None, None),
        ("node", "right", None, None),
        ("tool", "refund", "left", "no approval"),
        ("tool", "refund", "right", "no approval"),
    ]


@pytest.mark.parametrize(
    "start",
    [
        "await asyncio.to_thread(get_order, 'A-17')",
        "thread = threading.Thread(target=contextvars.copy_context().run, args=(get_order, 'A-17')); "
        "thread.start(); thread.join()",
        "ThreadPoolExecutor(1).submit(contextvars.copy_context().run, get_order, 'A-17').result()",
        "thread = threading.Thread(target=get_order, args=('A-17',)); thread.start(); thread.join()",
        "ThreadPoolExecutor(1).submit(get_order, 'A-17').result()",
        "list(ThreadPoolExecutor(2).map(get_order, ['A-17']))",
        "await asyncio.get_running_loop().run_in_executor(None, get_order, 'A-17')",
    ],
)
def test_threads_inherit_the_step(tmp_path, shared, ask, case, start) -> None:
    """However they are started: tools that run side by side in a pool are steps of their case."""
    body = f"\nasync def answer(input):\n    with evalkit.step('node'):\n        {start}\n    return 'done'\n"
    ended = traced(tmp_path, shared, ask, body, case())
    assert shown(ended) == [("node", "node", None, None), ("tool", "get_order", "node", None)]


LASTING = """
from multiprocessing.pool import ThreadPool

def answer(input):
    global pool
    pool = globals().get("pool") or ThreadPool(1)
    return pool.apply(get_order, (input,))["id"]
"""


def test_a_worker_that_outlives_its_call_records_nothing(tmp_path, shared, ask, case) -> None:
    """What later calls give to it is unknown, and is never a step of the call that started it."""
    (tmp_path / "traced_lasting.py").write_text(AGENT + LASTING, encoding="utf-8")
    system = PythonSystem(python="traced_lasting:answer")
    ended = [*ask(system, shared, case(id="a", input="A-1")), *ask(system, shared, case(id="b", input="A-2"))]
    sys.modules["traced_lasting"].pool.terminate()
    assert [(each.text, each.trajectory) for each in ended] == [("A-1", None), ("A-2", None)]


SHARED_POOL = """
pool = ThreadPoolExecutor(1)

def answer(input):
    with evalkit.step("node"):
        return pool.submit(get_order, input).result()["id"]
"""


def test_a_pool_that_outlives_a_call_records_into_none_but_its_own(tmp_path, shared, ask, case) -> None:
    """The worker was started by the first case, and works for the second, and for nobody."""
    (tmp_path / "traced_pool.py").write_text(AGENT + SHARED_POOL, encoding="utf-8")
    system = PythonSystem(python="traced_pool:answer")
    ended = ask(system, shared, case(id="a", input="A-1"), case(id="b", input="A-2"))
    assert [shown(each) for each in ended] == [
        [("node", "node", None, None), ("tool", "get_order", "node", None)] for _ in range(2)
    ]
    module = sys.modules["traced_pool"]
    assert module.pool.submit(module.get_order, "A-3").result()["id"] == "A-3"


LATE = """
def answer(input):
    async def later():
        get_order("A-17")
        return "done"
    return later()
"""


def test_a_function_that_returns_an_awaitable(tmp_path, shared, ask, case) -> None:
    """Its steps belong to the call too."""
    assert shown(traced(tmp_path, shared, ask, LATE, case())) == [("tool", "get_order", None, None)]


def test_calls_do_not_mix(tmp_path, shared, ask, case) -> None:
    """Each of many calls at once has its own steps."""
    (tmp_path / "traced_many.py").write_text(
        AGENT + "\ndef answer(input):\n    get_order(input)\n    return input\n", encoding="utf-8"
    )
    cases = [case(str(at)) for at in range(40)]
    ended = ask(PythonSystem(python="traced_many:answer"), shared, *cases)
    assert [each.trajectory[0].arguments for each in ended] == [{"order_id": str(at)} for at in range(40)]


def test_values_that_json_cannot_hold_are_written_as_text(tmp_path, shared, ask, case) -> None:
    """They neither fail the agent nor are lost."""
    (step,) = traced(tmp_path, shared, ask, "\ndef answer(input): return odd({1, 2}) and 'x'\n", case()).trajectory
    assert step.arguments == {"thing": "{1, 2}"}
    assert step.result == "<class 'object'>"


def test_an_error_goes_on(tmp_path, shared, ask, case) -> None:
    """A step never swallows what is raised within it; the call fails as it would without evalkit."""
    body = "\ndef answer(input):\n    with evalkit.step('x'):\n        raise KeyError('k')\n"
    ended = traced(tmp_path, shared, ask, body, case())
    assert isinstance(ended, Failure)
    assert ended.message == "KeyError: 'k'"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("{'text': 'x', 'trajectory': []}", "the answer reports its own steps, and 1 were recorded"),
        ("{'text': 'x', 'tool_calls': []}", "the answer reports 0 tool calls, and 1 were recorded"),
    ],
)
def test_a_report_that_contradicts_the_steps_is_refused(tmp_path, shared, ask, case, answer, told) -> None:
    """It is not guessed which of them is right."""
    ended = traced(tmp_path, shared, ask, f"\ndef answer(input):\n    get_order(input)\n    return {answer}\n", case())
    assert ended.kind == "bad_output"
    assert ended.message.startswith(told)


def test_too_many_steps_are_told(tmp_path, shared, ask, case) -> None:
    """As for steps that a system reports."""
    body = "\ndef answer(input):\n    for _ in range(10_001):\n        with evalkit.step('x'): pass\n    return 'x'\n"
    assert traced(tmp_path, shared, ask, body, case()).kind == "too_large"


def test_outside_a_run_nothing_happens() -> None:
    """So it can stay in production code."""

    @evalkit.tool
    def double(value: int) -> int:
        """Twice."""
        return 2 * value

    @evalkit.tool
    async def halve(value: int) -> float:
        return value / 2

    with evalkit.step("node") as node:
        node.result = double(2)
    assert (node.result, double.__doc__, double.__name__) == (4, "Twice.", "double")
    assert asyncio.run(halve(4)) == 2.0


def test_recording_imports_nothing_heavy() -> None:
    """Production code pays for a module, not for a harness."""
    code = (
        "import sys, evalkit\n@evalkit.tool\ndef f(): pass\nf()\nwith evalkit.step('x'): pass\n"
        "print(sorted({name for name in sys.modules} & {'numpy', 'scipy', 'pydantic', 'aiohttp', 'typer', 'rich'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_generator_is_refused_where_it_is_marked() -> None:
    """It has no result when it is called, so success would be recorded before it ran."""
    with pytest.raises(TypeError, match="is a generator"):

        @evalkit.tool
        def stream():
            yield 1


def test_odd_arguments_and_usage_do_not_fail_the_agent(tmp_path, shared, ask, case) -> None:
    """What cannot be read is kept as text, or unknown."""
    body = (
        "\ndef answer(input):\n    with evalkit.step('x', arguments=[1]) as x:\n"
        "        x.usage = {'tokens': 3}\n    return 'ok'\n"
    )
    (step,) = traced(tmp_path, shared, ask, body, case()).trajectory
    assert (step.arguments, step.usage) == ({"arguments": [1]}, None)
