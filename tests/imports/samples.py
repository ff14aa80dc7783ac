"""One small file of each format, of our own content."""

from __future__ import annotations

import json
from typing import Any

from test_promptfoo_imports import CONFIG, config_of, result, results_of

SAMPLES: dict[str, tuple[str, Any]] = {
    "promptfoo config": (
        "promptfooconfig.json",
        {
            **config_of(
                {"type": "equals", "value": "a", "weight": 0, "metric": "m"},
                {"type": "llm-rubric", "value": "It is polite."},
                {"type": "assert-set", "assert": [{"type": "cost", "threshold": 1}]},
                {"type": "trajectory:tool-args-match", "value": {"name": "a", "args": {"x": 1}}},
                {"type": "word-count", "value": {"min": 1}},
                threshold=0.5,
                metadata={"topic": "a"},
                options={"repeat": 2},
                description="d",
            ),
            "providers": [
                "openai:gpt-4o",
                {"id": "https://h/a", "label": "b", "config": {"headers": {"a": "b"}, "body": {"q": ["{{prompt}}"]}}},
                {"exec:python3 bot.py": {"config": {}}},
            ],
            "defaultTest": {"assert": [{"type": "latency", "threshold": 5}], "options": {"provider": "openai:gpt-4o"}},
        },
    ),
    "promptfoo results": (
        "results.json",
        results_of(
            result("hello", tokenUsage={"prompt": 1, "completion": 2}, cost=0.1),
            result(None, failureReason=2, error="x", metadata={"messages": [{"role": "user", "content": "a"}]}),
        ),
    ),
}
"""What the file is -> its name, and its content: a text, or a value that is written as JSON."""
TEXTS = {"promptfoo config, YAML": ("promptfooconfig.yaml", CONFIG)}


def text_of(content: Any) -> str:
    """A content as the text of a file."""
    return content if isinstance(content, str) else json.dumps(content)
