"""Call systems under test: python, http, command, chat and stored answers."""

from evalkit.systems.base import Answer, Shared, SystemConfig, timed
from evalkit.systems.chat import ChatSystem
from evalkit.systems.command import CommandSystem
from evalkit.systems.http import HttpSystem
from evalkit.systems.python import PythonSystem
from evalkit.systems.replay import ReplaySystem

SYSTEMS: dict[str, type[SystemConfig]] = {
    "python": PythonSystem,
    "http": HttpSystem,
    "command": CommandSystem,
    "chat": ChatSystem,
    "replay": ReplaySystem,
}
"""The key that chooses a system in a suite -> its configuration."""

CALLED = (PythonSystem, HttpSystem, CommandSystem, ChatSystem)
"""Kinds of systems that are called, turn by turn in a conversation; stored answers are whole conversations."""

__all__ = [
    "CALLED",
    "SYSTEMS",
    "Answer",
    "ChatSystem",
    "CommandSystem",
    "HttpSystem",
    "PythonSystem",
    "ReplaySystem",
    "Shared",
    "SystemConfig",
    "timed",
]
