"""Lead one conversation from the user's first message to its end."""

from __future__ import annotations

import copy
import json
import uuid
from asyncio import timeout  # by name: a system may patch the module
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from evalkit.formats.contexts import context_records
from evalkit.formats.conversation import Conversation, SimulatedUser, conversation_of
from evalkit.formats.json_paths import Pattern
from evalkit.formats.steps import MOST_STEPS, calls_of, usage_record
from evalkit.formats.usage import sum_usages, total
from evalkit.systems.base import Answer
from evalkit.systems.conversation.approvals import REJECTED, Person, approval_step, resume_of, with_question
from evalkit.systems.conversation.environment import MOST_BYTES, MakeEnvironment, Recorder, ToolError, tool_names
from evalkit.systems.conversation.replaying import expected_values
from evalkit.systems.conversation.reported_steps import in_turn, new_steps, reported_in, unmatched
from evalkit.systems.conversation.settings import ConversationSettings
from evalkit.systems.conversation.stopping import stops
from evalkit.systems.output import n_bytes
from evalkit.systems.tool_errors import with_tool_errors
from evalkit.text.values import one_line
from evalkit.types import USER_ERROR, Case, Failure, Message, Output, Step, ToolCall, Usage


@dataclass(frozen=True)
class Said:
    """The next message of a simulated user."""

    text: str
    done: bool = False
    usage: Usage | None = None
    why: str | None = None
    """Why the user ends the conversation."""


Simulate = Callable[[SimulatedUser, Sequence[Message], int], Awaitable[Said]]
"""(user, the conversation so far, repeat) -> the user's next message; raises `SimulatorFailed`."""


class SimulatorFailed(Exception):
    """The simulated user gave no usable message.

    Attributes:
        usage: Tokens and cost of the attempt.
    """

    def __init__(self, message: str, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage


async def directly(function: Callable[[], Any]) -> Any:
    """Run a synchronous function."""
    return function()


@dataclass(frozen=True)
class ConversationSetup:
    """Settings shared by all conversations of a run."""

    settings: ConversationSettings
    make_environment: MakeEnvironment | None = None
    runs_tools: bool = False
    """Whether evalkit runs the tools that the model asks for, because the system is a model alone."""
    run_environment: Callable[[Callable[[], Any]], Awaitable[Any]] = directly
    """Runs code of the environment, because the project's code runs outside the run's event loop."""
    simulate: Simulate | None = None
    tool_error: str | None = None
    """Pattern (RE2) of the results of tools that are errors; see `with_tool_errors`."""
    before_turn: Callable[[], None] = lambda: None
    """Called before each turn; it may raise to stop a run in the middle of a conversation."""


def conversing(answer: Answer, setup: ConversationSetup) -> Answer:
    """Return an answer that leads a whole conversation: one case, one output.

    Args:
        answer: one turn of the system, already timed.
        setup: settings shared by the conversations.
    """

    async def call(case: Case, repeat: int) -> Output | Failure:
        return await _LiveConversation(answer, setup, case, repeat).lead()

    return call


class _Failed(Exception):
    """The failure of a turn."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass
class _LiveConversation:
    """State of one conversation in progress."""

    answer: Answer
    setup: ConversationSetup
    case: Case
    repeat: int
    turn: int = 0
    sent: list[Message] = field(default_factory=list)
    """Messages of the conversation as the system receives them."""
    messages: list[Message] = field(default_factory=list)
    """Messages of the conversation as they are stored, with the details of each turn."""
    steps: list[Step] = field(default_factory=list)
    reported_turns: set[int] = field(default_factory=set)
    """Turns whose actions are known, from the system or from evalkit."""
    reported: list[Step] = field(default_factory=list)
    """Steps as the system reported them."""
    last: Output | None = None
    """The last answer."""
    latencies_s: list[float | None] = field(default_factory=list)
    usages: list[Usage | None] = field(default_factory=list)
    user_usages: list[Usage | None] = field(default_factory=list)
    user_why: str | None = None
    n_bytes: int = 0
    """Bytes of the answers so far."""
    n_repeated: int = 0
    """Number of failed exchanges that were retried."""

    def __post_init__(self) -> None:
        self.planned: Conversation = conversation_of(self.case)
        self.settings = self.setup.settings
        self.person = Person(self.planned.approvals)
        self.began = monotonic()
        self.session = str(uuid.uuid4())
        self.limit = timeout(self.settings.timeout_s)
        self.environment: Recorder | None = None
        self.tools: Sequence[str] = ()
        self.state: Mapping[str, Any] | None = None
        self.wanted: Mapping[Pattern, Any] = {}
        if not isinstance(self.case.input, str):
            self.sent += self.case.input[:-1]
            self.messages += self.case.input[:-1]

    async def lead(self) -> Output | Failure:
        try:
            async with self.limit:
                await self._begin()
                stop = await self._turns()
            return self._output(stop)
        except _Failed as failed:
            found = failed.failure
            where = f"turn {self.turn}: " if self.turn else ""
            return Failure(found.kind, f"{where}{found.message}", self._partial())
        except SimulatorFailed as failed:
            if failed.usage is not None:
                self.user_usages.append(failed.usage)
            where = f"after turn {self.turn}" if self.turn else "before the first turn"
            return Failure(USER_ERROR, f"{where}: {failed}", self._partial())
        except TimeoutError:
            if not self.limit.expired():
                raise
            what = f"turn {self.turn}: the conversation took more than {self.settings.timeout_s:g} s"
            return Failure("conversation_timeout", what, self._partial())
        finally:
            if self.environment is not None:
                self.environment.close()

    async def _begin(self) -> None:
        make = self.setup.make_environment
        if make is not None:
            own_state = copy.deepcopy(dict(self.planned.state or {}))  # it may work in place; the row stays as it is
            made = await self._run(lambda: make(own_state))
            self.tools = await self._run(lambda: tool_names(made.tools))
            self.environment = Recorder(made, self.began)
            await self._look()
        if any(rule.state == "expected" for rule in self.settings.stop_when):
            self.wanted = await self._run(lambda: expected_values(self.case, make))

    async def _run(self, function: Callable[[], Any]) -> Any:
        """Run code of the environment.

        Raises:
            ToolError: a tool refuses the call.
            _Failed: `environment`, for any other exception.
        """
        try:
            return await self.setup.run_environment(function)
        except ToolError:
            raise
        except Exception as error:
            known = self.environment.fault if self.environment is not None else ""
            raise _Failed(Failure("environment", known or f"{type(error).__name__}: {one_line(error)}")) from None

    async def _look(self) -> None:
        """Read the state of the world."""
        if self.environment is not None:
            environment = self.environment
            self.state = await self._run(lambda: environment.state)
        elif self.last is not None:
            self.state = self.last.state  # an answer without a state leaves it unknown: it may have changed

    async def _turns(self) -> str:
        """Lead the turns, and return why they ended."""
        scripted, done = len(self.planned.turns), False
        while True:
            if self.turn == self.settings.max_turns:
                return "max_turns"
            if scripted:
                text = self.planned.turns[self.turn].user
            else:
                text, done = await self._simulated()
                if done and not text:
                    return "user_done"
            self.setup.before_turn()
            self.turn += 1
            if stop := await self._turn(text):
                return stop
            if done:
                return "user_done"
            if scripted and self.turn == scripted:
                return "script_end"

    async def _simulated(self) -> tuple[str, bool]:
        user = self.planned.user
        assert user is not None  # noqa: S101 - a case has turns or a user
        if self.turn == 0 and user.opening is not None:
            return user.opening, False
        if self.setup.simulate is None:
            raise SimulatorFailed("no model is configured to play the user")
        said = await self._untimed(self.setup.simulate(user, self.messages, self.repeat))
        self.user_usages.append(said.usage)
        done = said.done and self.turn > 0
        self.user_why = said.why if done else None
        return said.text, done

    async def _untimed(self, asking: Awaitable[Said]) -> Said:
        """Wait for the simulated user with the conversation's clock stopped; the user's own time limits apply."""
        ends_s, began = self.limit.when(), monotonic()
        self.limit.reschedule(None)
        said = await asking
        self.limit.reschedule(None if ends_s is None else ends_s + monotonic() - began)
        return said

    async def _turn(self, text: str) -> str | None:
        """Get the answer to one message of the user; return why the conversation ends, `None` if it continues."""
        self.sent.append(Message("user", text))
        self.messages.append(Message("user", text))
        if self.environment is not None:
            self.environment.turn = self.turn
        resume: dict[str, Any] | None = None
        n_before = len(self.steps)
        asked: list[Message] = []
        taken = 0
        while True:
            output = await self._call(text, resume, asked)
            if output.interrupt is None and not self._calls_tools(output):
                break
            taken += len(output.tool_calls or ()) if self._calls_tools(output) else 1
            if taken > self.settings.max_steps:
                self._said(output, asked)
                return "max_steps"
            if self._calls_tools(output):
                asked += await self._run_tools(output)
                continue
            answer = self.person.answer(output.interrupt or {})
            if answer is None and self.settings.unanswered_interrupt == "end":
                self._said(output, asked)
                return "interrupt"
            answer = answer or REJECTED
            self.steps.append(approval_step(output.interrupt or {}, answer, self.turn, monotonic() - self.began))
            resume = resume_of(output.interrupt or {}, answer)
        self._said(output, asked)
        if output.fault:
            return "fault"
        if output.done:
            return "agent_done"
        over = stops(self.settings.stop_when, output.text, self.steps[n_before:], self.state, self.wanted)
        return "rule" if over else None

    def _calls_tools(self, output: Output) -> bool:
        return self.setup.runs_tools and bool(output.tool_calls) and not output.fault

    async def _call(self, text: str, resume: dict[str, Any] | None, asked: Sequence[Message]) -> Output:
        given = {"session": self.session, "message": text, "turn": self.turn, "resume": resume}
        tools = self.environment.given() if self.environment is not None else None
        fields = {**self.case.fields, **given, "environment": tools}
        began_s = monotonic() - self.began
        case = replace(self.case, input=(*self.sent, *asked), fields=fields)
        ended = await self.answer(case, self.repeat)
        recorded = self._take_recorded()
        if self.environment is not None and self.environment.fault:
            raise _Failed(Failure("environment", self.environment.fault))
        if self.environment is not None and self.environment.n_calls > MOST_STEPS:
            what = f"{self.environment.n_calls:,} calls of tools, at most {MOST_STEPS:,} are kept"
            raise _Failed(Failure("too_large", what))
        if isinstance(ended, Failure):
            raise _Failed(ended)
        try:
            ended = with_question(ended)
        except ValueError as error:
            raise _Failed(Failure("bad_output", one_line(error))) from None
        self.last = ended
        self.n_repeated += ended.attempts - 1
        self.latencies_s.append(ended.latency_s)
        self.usages.append(ended.usage)
        kept = self._take_reported(ended, recorded, began_s)
        self._count(Output(text=ended.text, trajectory=kept or None))
        self.steps += kept
        await self._look()
        return ended

    def _take_recorded(self) -> list[Step]:
        if self.environment is None:
            return []
        self.reported_turns.add(self.turn)
        recorded = self.environment.take()
        self.steps += recorded
        return recorded

    def _count(self, kept: Output) -> None:
        self.n_bytes += n_bytes(kept)
        if self.n_bytes > MOST_BYTES:
            what = f"the answers of the conversation have {self.n_bytes:,} bytes, more than {MOST_BYTES:,}"
            raise _Failed(Failure("too_large", what))

    def _take_reported(self, output: Output, recorded: Sequence[Step], began_s: float) -> tuple[Step, ...]:
        """Return the steps that the system reports, except for calls that evalkit has already recorded."""
        reported = reported_in(output)
        if reported is None:
            return ()
        self.reported_turns.add(self.turn)
        new = new_steps(reported, self.turn, self.reported)
        self.reported += reported
        if self.setup.runs_tools:  # the model asks for calls, and evalkit makes them
            new = [step for step in new if step.kind != "tool"]
        return tuple(in_turn(step, self.turn, began_s) for step in unmatched(new, recorded, self.tools))

    async def _run_tools(self, output: Output) -> list[Message]:
        """Run the tools that the model requests, and return the messages with their results."""
        environment, calls = self.environment, output.tool_calls or ()
        assert environment is not None  # noqa: S101 - evalkit runs tools of an environment only
        messages = [Message("assistant", output.text, calls)]
        for call in calls:

            def run(call: ToolCall = call) -> Any:
                return environment.call(call.name, call.arguments, call_id=call.id)

            try:
                result = await self._run(run)
                text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
            except ToolError as error:
                text = f"Error: {one_line(error)}"
            finally:
                self._take_recorded()
            messages.append(Message("tool", text, call_id=call.id, name=call.name))
        await self._look()
        return messages

    def _said(self, output: Output, asked: Iterable[Message]) -> None:
        """Add the answer of a turn to the conversation, with the details of the turn."""
        self.sent += (*asked, Message("assistant", output.text))
        self.messages += asked
        details: dict[str, Any] = {}
        if output.latency_s is not None:
            details["latency_s"] = output.latency_s
        if output.contexts is not None:
            details["contexts"] = context_records(output.contexts, output.origins)
        if output.usage is not None:
            details["usage"] = usage_record(output.usage)
        self.messages.append(Message("assistant", output.text, details=details))

    def _partial(self) -> Output | None:
        self._take_recorded()
        return self._output(None) if self.messages else None

    def _output(self, stop: str | None) -> Output:
        last = self.last or Output(text="")
        # If one turn does not report what was done, it is unknown for all of them.
        all_reported = len(self.reported_turns) >= max(self.turn, 1)
        steps = tuple(self.steps) if all_reported or not self.reported_turns else None
        output = replace(
            last,
            usage=sum_usages(self.usages),
            user_usage=sum_usages(self.user_usages),
            tool_calls=calls_of(steps or ()) if all_reported else None,
            trajectory=steps if all_reported else steps or None,
            messages=tuple(self.messages),
            state=self.state,
            stop=stop,
            user_why=self.user_why,
            fault=None if last.fault is None else f"{last.fault} (turn {self.turn})",
            latency_s=total(self.latencies_s),
            ttft_s=None,
            attempts=1 + self.n_repeated,
            done=False,
        )
        return with_tool_errors(output, self.setup.tool_error)
