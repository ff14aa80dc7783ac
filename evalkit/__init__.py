"""Evaluate LLM systems and gate regressions.

from evalkit import run

ended = run("suite.yaml")
print(ended.outcome, ended.decision.reasons)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalkit.analysis import to_pandas
    from evalkit.errors import EvalkitError, InputError
    from evalkit.operations.scripting import compare, decide, load_run, run, score
    from evalkit.operations.scripting_results import Run, SystemRuns
    from evalkit.results import Decision, Estimate, Summary
    from evalkit.scorers.base import Scorer
    from evalkit.systems.conversation.environment import ToolError
    from evalkit.systems.tracer import step, tool
    from evalkit.types import Case, Failure, Message, Metric, Output, Row, Score, Step, ToolCall, Unscored, Usage

__version__ = "0.1.0"
__all__ = [
    "Case",
    "Decision",
    "Estimate",
    "EvalkitError",
    "Failure",
    "InputError",
    "Message",
    "Metric",
    "Output",
    "Row",
    "Run",
    "Score",
    "Scorer",
    "Step",
    "Summary",
    "SystemRuns",
    "ToolCall",
    "ToolError",
    "Unscored",
    "Usage",
    "__version__",
    "compare",
    "decide",
    "load_run",
    "run",
    "score",
    "step",
    "to_pandas",
    "tool",
]
_ROOMS = {
    "evalkit.analysis": "to_pandas",
    "evalkit.errors": "EvalkitError InputError",
    "evalkit.operations.scripting": "compare decide load_run run score",
    "evalkit.operations.scripting_results": "Run SystemRuns",
    "evalkit.results": "Decision Estimate Summary",
    "evalkit.scorers.base": "Scorer",
    "evalkit.systems.conversation.environment": "ToolError",
    "evalkit.systems.tracer": "step tool",
    "evalkit.types": "Case Failure Message Metric Output Row Score Step ToolCall Unscored Usage",
}


def __getattr__(name: str) -> Any:
    """Import a name on first use, so that `import evalkit` costs nothing."""
    room = next((room for room, names in _ROOMS.items() if name in names.split()), None)
    if room is None:
        raise AttributeError(f"module 'evalkit' has no attribute {name!r}")
    return getattr(import_module(room), name)


def __dir__() -> list[str]:
    return __all__
