"""Provide an environment without code: tools that answer by the rules of a YAML file."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.formats.json_paths import MISSING, Pattern, path_pattern, set_at, shown_path, single_path, value_at
from evalkit.formats.json_values import equal_json
from evalkit.systems.conversation.environment import ToolError

_ARGUMENT = re.compile(r"\{([\w-]+)\}")


@dataclass(frozen=True, kw_only=True)
class MockRule:
    """A rule of a tool: for calls that fit, change the state, then return or fail."""

    when: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that a call has at least."""
    times: int | None = None
    """How often the rule may be used in one conversation."""
    set: Mapping[str, Any] = field(default_factory=dict)
    """Path of the state -> new value. `{name}` stands for an argument of the call."""
    returns: Any = None
    """Result of the call."""
    from_: str | None = field(default=None, metadata={"key": "from"})
    """Path of the value in the state that the tool returns."""
    error: str | None = None
    """Why the tool fails."""

    def __post_init__(self) -> None:
        """Reject a rule that answers in two ways."""
        given = [name for name in ("returns", "from_", "error") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError("returns: a rule answers once; keep one of `returns`, `from` and `error`")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times: {self.times} would never be used; write at least 1")
        for key, path in (*(("set", path) for path in self.set), *((("from_", self.from_),) if self.from_ else ())):
            single_path(key, path)
        if self.error == "":
            raise ValueError('error: empty; say why the tool fails, such as "no such order"')


@dataclass(frozen=True, kw_only=True)
class MockTool:
    """One tool of a file of mocks."""

    rules: tuple[MockRule, ...]
    """Tried in order; the first one that fits answers the call."""
    description: str = ""
    """Description of the tool for the model."""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON Schema of the arguments."""
    writes: bool = False
    """Whether the tool changes the state; required if one of its rules has `set`, for readers of the file."""

    def __post_init__(self) -> None:
        """Reject a tool that would leave some calls unanswered."""
        if not self.rules:
            raise ValueError("rules: none; add one such as `{returns: {}}`")
        if not self.writes and any(rule.set for rule in self.rules):
            raise ValueError("writes: not set, but a rule has `set`, so the tool changes the state; add `writes: true`")
        for name in ("when", "times"):
            if getattr(self.rules[-1], name):
                fix = 'add a last rule such as `{error: "no such order"}`'
                calls = "other arguments" if name == "when" else "a later call"
                raise ValueError(f"rules: its last rule has `{name}`, so {calls} would meet no rule; {fix}")


@dataclass(frozen=True, kw_only=True)
class Mocks:
    """A file of mocks."""

    tools: Mapping[str, MockTool]
    """Name -> tool."""

    def __post_init__(self) -> None:
        """Reject a file without tools."""
        if not self.tools:
            raise ValueError("tools: none; add one such as `get_order: {rules: [...]}`")

    def described(self) -> list[dict[str, Any]]:
        """Return the tools as OpenAI describes them."""
        return [
            {
                "type": "function",
                "function": {"name": name, "description": tool.description, "parameters": dict(tool.parameters)},
            }
            for name, tool in self.tools.items()
        ]


class MockEnvironment:
    """The tools of a file of mocks, with their own state."""

    def __init__(self, mocks: Mocks, state: Mapping[str, Any]) -> None:
        self.tools: Sequence[Mapping[str, Any]] = mocks.described()
        self.state: dict[str, Any] = copy.deepcopy(dict(state))
        self._mocks = mocks
        self._used: dict[tuple[str, int], int] = {}

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Answer by the first rule that fits.

        Raises:
            ToolError: the rule has an `error`, its path leads to nothing, or there is no such tool.
        """
        tool = self._mocks.tools.get(name)
        if tool is None:
            raise ToolError(f"no tool called {name}")
        required = tool.parameters.get("required", ())
        if lacking := [each for each in required if each not in arguments]:
            raise ToolError(f"missing argument: {', '.join(map(str, lacking))}")
        at, rule = next(each for each in enumerate(tool.rules) if self._fits(name, *each, arguments))
        self._used[name, at] = self._used.get((name, at), 0) + 1
        found = None if rule.from_ is None else self._found(_path(rule.from_, arguments))
        changed = copy.deepcopy(self.state)
        for text, value in rule.set.items():
            path = _path(text, arguments)
            if not set_at(changed, path, _filled(value, arguments)):
                raise ToolError(f"not found: {shown_path(path[:-1])}")
        self.state = changed
        if rule.error is not None:
            raise ToolError(str(_filled(rule.error, arguments)))
        return found if rule.from_ is not None else _filled(rule.returns, arguments)

    def _found(self, path: Pattern) -> Any:
        value = value_at(self.state, path)
        if value is MISSING:
            raise ToolError(f"not found: {shown_path(path)}")
        return copy.deepcopy(value)

    def _fits(self, name: str, at: int, rule: MockRule, arguments: Mapping[str, Any]) -> bool:
        if rule.times is not None and self._used.get((name, at), 0) >= rule.times:
            return False
        return all(key in arguments and equal_json(arguments[key], value) for key, value in rule.when.items())


def _path(template: str, arguments: Mapping[str, Any]) -> Pattern:
    """Fill in the keys of a path one by one, so that an argument with a dot stays a single key."""
    named = [found for key in path_pattern("path", template) for found in _ARGUMENT.findall(key)]
    if lacking := [name for name in named if name not in arguments]:
        raise ToolError(f"missing argument: {', '.join(lacking)}")
    return tuple(str(_filled(key, arguments)) for key in path_pattern("path", template))


def _filled(value: Any, arguments: Mapping[str, Any]) -> Any:
    """Replace `{name}` with the argument, once and literally; a text that is only `{name}` keeps its type."""
    if isinstance(value, Mapping):
        return {key: _filled(inner, arguments) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(inner, arguments) for inner in value]
    if not isinstance(value, str):
        return value
    whole = _ARGUMENT.fullmatch(value)
    if whole and whole[1] in arguments:
        return copy.deepcopy(arguments[whole[1]])
    return _ARGUMENT.sub(lambda found: str(arguments.get(found[1], found[0])), value)
