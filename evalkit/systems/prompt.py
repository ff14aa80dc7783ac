"""Make the messages of a chat from a case: a prompt in the suite, or in a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.disk.files import read_file
from evalkit.errors import InputError, what_and_fix
from evalkit.formats.messages import input_of
from evalkit.golden.variants.attacks import FILLED
from evalkit.systems.template import BRACES, as_text, compile_template, fields_in
from evalkit.text.values import not_utf8
from evalkit.types import Case, Message

MAX_BYTES = 1 << 20
MOST_MESSAGES = 500
ROLES = ("system", "developer", "user", "assistant")
"""Roles of the messages in a prompt file."""
_INSTRUCTING = ("system", "developer")
"""Those of messages that say how the model should behave."""
_LISTS = (".json", ".yaml", ".yml")
_FORM = "write a list of {role, content}"


@dataclass(frozen=True)
class Prompt:
    """The messages that each case is put into."""

    user: str = "{{input}}"
    """Template of the user message, which comes last."""
    before: tuple[tuple[str, str], ...] = ()
    """Role and template of each message before it."""

    @property
    def has_system(self) -> bool:
        """Whether a message says how the model should behave."""
        return any(role in _INSTRUCTING for role, _ in self.before)

    @property
    def system_text(self) -> str:
        """The messages that say how the model should behave, with one sign for each placeholder."""
        return "\n\n".join(BRACES.sub(FILLED, text) for role, text in self.before if role in _INSTRUCTING)

    def with_last_words(self, text: str) -> Prompt:
        """Return the prompt with a text at the end of the last of those messages, if there is one."""
        at = max((at for at, (role, _) in enumerate(self.before) if role in _INSTRUCTING), default=None)
        if at is None:
            return self
        role, before = self.before[at]
        return replace(self, before=(*self.before[:at], (role, before + text), *self.before[at + 1 :]))

    @property
    def fields(self) -> frozenset[str]:
        """Fields that each row must have, for the placeholders."""
        return fields_in([self.user, *(text for _, text in self.before)])

    def messages(self) -> Callable[[Case], list[dict[str, Any]]]:
        """Return the function from a case to its messages.

        If the input is a chat, `before` comes first, and the last user turn is put into `user`; the rest of the chat is
        sent as it is.
        """
        first = [(role, compile_template(text)) for role, text in self.before]
        fill, is_plain = compile_template(self.user), self.user.strip() == "{{input}}"

        def made(case: Case) -> list[dict[str, Any]]:
            messages = input_of(case)
            if isinstance(case.input, str) or isinstance(messages, str):
                asked = [{"role": "user", "content": case.input if is_plain else as_text(fill(case))}]
                return [*_filled(first, case), *asked]
            at = _last_user_turn(case.input)
            turn = case.input[at]
            alone = replace(case, input=turn.content)
            if not is_plain:
                text = as_text(fill(alone))
                others = [part for part in turn.parts if part["type"] != "text"]
                messages[at]["content"] = [{"type": "text", "text": text}, *others] if others else text
            return [*_filled(first, alone), *messages]

        return made


def _filled(templates: list[tuple[str, Callable[[Case], Any]]], case: Case) -> list[dict[str, Any]]:
    return [{"role": role, "content": as_text(fill(case))} for role, fill in templates]


def _last_user_turn(turns: tuple[Message, ...]) -> int:
    return max((at for at, turn in enumerate(turns) if turn.role == "user"), default=len(turns) - 1)


def read_prompt(path: Path) -> Prompt:
    """Read a prompt file: the user message as text, or a `.json` or `.yaml` list of messages.

    Raises:
        ValueError: `what; fix`.
    """
    text = read_text(path, MAX_BYTES)
    prompt = _of_messages(_value(text, path)) if path.suffix.lower() in _LISTS else Prompt(text.removesuffix("\n"))
    for where, template in (("", prompt.user), *((f"message {at + 1}: ", each[1]) for at, each in _numbered(prompt))):
        try:
            compile_template(template)
        except ValueError as error:
            raise ValueError(f"{where}{error}") from None
    if not any(BRACES.search(template) for template in (prompt.user, *(text for _, text in prompt.before))):
        raise ValueError("has no placeholder, so every case would send the same; write {{input}} where the input goes")
    return prompt


def read_text(path: Path, max_bytes: int) -> str:
    """Read a text file.

    Raises:
        ValueError: `what; fix`.
    """
    try:
        return read_file(path, max_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{not_utf8(error)}; save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}; name a short text file") from None


def _numbered(prompt: Prompt) -> list[tuple[int, tuple[str, str]]]:
    return list(enumerate(prompt.before))


def _value(text: str, path: Path) -> Any:
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {error.lineno} is not JSON: {error.msg}; {_FORM}") from None
        except (ValueError, RecursionError):
            raise ValueError(f"nested too deep, or a number is too long; {_FORM}") from None
    from evalkit.formats.yaml_text import parse_data

    try:
        return parse_data(text.encode(), path.name, MAX_BYTES)[0]
    except InputError as error:
        raise ValueError(str(error.problems[0])) from None


def _of_messages(value: Any) -> Prompt:
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected a list of messages; {_FORM}")
    if len(value) > MOST_MESSAGES:
        raise ValueError(f"{len(value):,} messages, at most {MOST_MESSAGES} are read; write fewer")
    read = [_message(f"message {at + 1}", each) for at, each in enumerate(value)]
    *before, (role, text) = read
    if role != "user":
        raise ValueError(f"the last message has the role {role}; end with the user message, which holds {{{{input}}}}")
    return Prompt(text, tuple(before))


def _message(place: str, value: Any) -> tuple[str, str]:
    if not isinstance(value, Mapping) or value.keys() != {"role", "content"}:
        raise ValueError(f"{place}: expected a role and a content alone; {_FORM}")
    role, content = value["role"], value["content"]
    if role not in ROLES:
        raise ValueError(f"{place}: unknown role; write one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise ValueError(f"{place}: its content is not a text; write one text")
    return role, content


def problem_of(path: Path, *, beside_system: bool) -> tuple[str, str] | None:
    """Return what is wrong with a prompt file and the fix, `None` if it can be used.

    Args:
        path: the file.
        beside_system: whether the suite gives a system message of its own.
    """
    try:
        prompt = read_prompt(path)
    except ValueError as error:
        return what_and_fix(error)
    if beside_system and prompt.has_system:
        return "has a system message, and the suite gives another one", "keep one of them"
    return None
