"""Read the parts of a suite's `conversation:`: a file of mocks, and the model that plays the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.disk.files import Unfit, read_file
from evalkit.disk.project_code import SPELLING
from evalkit.errors import InputError, Problem
from evalkit.formats.build import Builder
from evalkit.formats.yaml_text import MAX_BYTES, Document, parse_data

if TYPE_CHECKING:
    from evalkit.systems.conversation.mocks import Mocks
    from evalkit.systems.conversation.settings import ConversationSettings

_PATH = ("conversation",)
_ENVIRONMENT = (*_PATH, "environment")


@dataclass(frozen=True, kw_only=True)
class SuiteConversation:
    """The settings of conversations, with the parts that they name."""

    settings: ConversationSettings
    mocks: Mocks | None = None
    mocks_file: Path | None = None
    user: Any = None
    """Options of the endpoint of the model that plays the user."""


def read_settings(
    builder: Builder,
    settings: ConversationSettings | None,
    root: Path,
    resolve: Callable[[str, tuple[str, ...]], Path | None],
    placed: Callable[[Any, tuple[str, ...]], Any],
) -> SuiteConversation | None:
    """Return the settings of conversations with the parts that they name; problems are noted with their lines.

    Args:
        builder: builder of the suite.
        settings: settings of its conversations, `None` if it has none.
        root: root of the project.
        resolve: function that finds a file named in the suite.
        placed: function that adds a model's options from the table of vendors.
    """
    if settings is None:
        return None
    environment = settings.environment
    file = resolve(environment, _ENVIRONMENT) if isinstance(environment, str) else None
    if isinstance(environment, Mapping) and not SPELLING.fullmatch(environment["python"]):
        what = f"expected `module:Class`, got {environment['python']!r}"
        builder.problem(_ENVIRONMENT, what, "write {python: envs.shop:Shop}")
    return SuiteConversation(
        settings=settings,
        mocks=_mocks(builder, file, file.relative_to(root).as_posix()) if file is not None else None,
        mocks_file=file,
        user=_user(builder, settings, placed),
    )


def _mocks(builder: Builder, file: Path, shown: str) -> Mocks | None:
    from evalkit.systems.conversation.mocks import Mocks

    try:
        value, marks = parse_data(read_file(file), shown, MAX_BYTES)
    except InputError as error:
        builder.problems += error.problems
        return None
    except (Unfit, OSError) as error:
        builder.problem(_ENVIRONMENT, f"{shown} cannot be read: {error.strerror}", "name a YAML file of mocks")
        return None
    if not isinstance(value, Mapping):
        what = "the file is empty" if value is None else "the top level is not a mapping"
        builder.problems.append(Problem(f"{shown}:1:1", what, "write `tools: {get_order: {rules: [...]}}`"))
        return None
    inner = Builder(Document(shown, value, marks))
    mocks: Mocks | None = inner.build(Mocks, value, ())
    builder.problems += inner.problems
    return mocks


def _user(builder: Builder, settings: ConversationSettings, placed: Callable[[Any, tuple[str, ...]], Any]) -> Any:
    if settings.user is None:
        return None
    from evalkit.llm.config import ChatConfig

    path = (*_PATH, "user", "chat")
    return builder.build(ChatConfig, placed(settings.user["chat"], path), path)
