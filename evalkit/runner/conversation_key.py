"""Identify the settings that must be equal before the conversations of two runs can be compared."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from evalkit.disk.project_code import module_file
from evalkit.disk.sources import imported_files
from evalkit.scorers.judges.identity import settings_hash
from evalkit.systems import CALLED
from evalkit.systems.fingerprint import file_hash

if TYPE_CHECKING:
    from evalkit.suite.model import Suite

_HEX = 16


def conversation_key(suite: Suite) -> Mapping[str, str]:
    """Return part -> value of everything except the system that affects a conversation.

    For stored answers that are scored again, return the key of their run. The key is empty for a suite without
    conversations, and for one that replays a file.
    """
    conversation = suite.conversation
    if conversation is None or not isinstance(suite.system, CALLED):
        return suite.led_by
    settings = conversation.settings
    key = {
        "environment": environment_hash(suite),
        "max_steps": str(settings.max_steps),
        "max_turns": str(settings.max_turns),
        "stop_when": _hash([dataclasses.asdict(rule) for rule in settings.stop_when]) if settings.stop_when else "none",
        "unanswered_interrupt": settings.unanswered_interrupt,
        "user": "none",
    }
    if conversation.user is not None:
        from evalkit.runner.simulated_user import USER_PROMPT_VERSION

        user = conversation.user
        key |= {"user": user.model, "user_prompt": USER_PROMPT_VERSION, "user_settings": settings_hash(user)}
    return key


def environment_hash(suite: Suite) -> str:
    """Return the hash of the mocks, or of the class's module and the project modules that it imports."""
    conversation = suite.conversation
    environment = conversation.settings.environment if conversation is not None else None
    if conversation is not None and conversation.mocks_file is not None:
        return file_hash(conversation.mocks_file)[:_HEX]
    if not isinstance(environment, Mapping):
        return "none"
    return _hash([environment["python"], *_sources(suite, environment["python"].partition(":")[0])])


def _sources(suite: Suite, module: str) -> Iterator[tuple[str, str]]:
    file = module_file(module, suite.root)
    files = imported_files(file, module, suite.root, suite.inputs) if file is not None else {}
    yield from ((name, file_hash(path)) for name, path in sorted(files.items()))


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:_HEX]
