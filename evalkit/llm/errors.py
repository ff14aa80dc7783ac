"""Define the errors of model calls.

```
RunError
  x JudgeError        one call gave no usable reply; `kind` names the cause
```
"""

from __future__ import annotations

from evalkit.errors import RunError
from evalkit.types import Usage


class JudgeError(RunError):
    """A call without a usable reply.

    Attributes:
        kind: `http_<status>`, `timeout`, `transport`, `too_large`, `prompt_too_long`, `truncated`, `refusal` or
            `bad_reply`.
        usage: Usage of the failed call, `None` if there was no answer.
    """

    def __init__(self, kind: str, message: str, *, usage: Usage | None = None) -> None:
        self.kind = kind
        self.message = message
        self.usage = usage
        super().__init__(f"{kind}: {message}")


class Deferred(BaseException):
    """The reply to a question comes with a batch. This is not an `Exception`, because libraries catch those."""
