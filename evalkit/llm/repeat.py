"""Which repeat of a case is being graded."""

from contextvars import ContextVar

REPEAT: ContextVar[int] = ContextVar("repeat", default=0)
"""Each repeat buys its own opinions: it is part of what names a kept reply."""
