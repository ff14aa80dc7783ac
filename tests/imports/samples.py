"""One small file of each format, of our own content."""

from __future__ import annotations

import json
from typing import Any

import test_deepeval_imports
import test_inspect_imports
import test_langsmith_tables
import test_other_imports
import test_promptfoo_tables
import test_ragas_imports
import test_sibling_formats
import test_trace_imports
from test_promptfoo_imports import CONFIG, config_of, result, results_of

SAMPLES: dict[str, tuple[str, Any]] = {
    "OTLP traces": ("traces.otlp.json", test_trace_imports.SAMPLE),
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
    "inspect log": ("log.json", test_inspect_imports.LOG),
    "deepeval goldens": ("goldens.json", [test_deepeval_imports.GOLDEN, test_deepeval_imports.TALK]),
    "lm-eval samples": ("samples.jsonl", test_other_imports.lines(*[test_other_imports.LM_EVAL] * 2)),
    "OpenAI evals samples": ("openai.jsonl", test_other_imports.lines(*test_other_imports.OPENAI)),
    "LangSmith examples": ("examples.jsonl", test_other_imports.lines(*test_other_imports.EXAMPLES)),
    "LangSmith runs": ("runs.jsonl", test_other_imports.lines(*test_other_imports.RUNS)),
    "ADK eval set": ("shop.evalset.json", test_other_imports.ADK),
    "MLflow traces": ("trace.json", test_other_imports.TRACE),
    "MLflow records": ("records.json", test_other_imports.RECORDS),
    "promptfoo results, version 2": ("old.json", test_sibling_formats.PROMPTFOO["version 2"]),
    "inspect log of 2024": ("old.json", test_sibling_formats.log(test_sibling_formats.SAMPLE)),
    "ADK sessions": ("dice.test.json", test_sibling_formats.TURNS),
    "OpenAI evals events": ("events.jsonl", test_other_imports.lines(*test_sibling_formats.EVENTS)),
    "ragas samples": (
        "samples.jsonl",
        f"{json.dumps(test_ragas_imports.SAMPLE)}\n{json.dumps(test_ragas_imports.TALK)}\n",
    ),
}
"""What the file is -> its name, and its content: a text, or a value that is written as JSON."""
TEXTS = {
    "promptfoo results, CSV": ("out.csv", test_promptfoo_tables.NOW),
    "LangSmith experiment, CSV": ("results.csv", test_langsmith_tables.TABLE),
    "promptfoo config, YAML": ("promptfooconfig.yaml", CONFIG),
    "deepeval, CSV": ("goldens.csv", test_deepeval_imports.as_table([test_deepeval_imports.GOLDEN] * 3)),
    "ragas, CSV": ("samples.csv", test_ragas_imports.as_table(test_ragas_imports.SAMPLE)),
}


def text_of(content: Any) -> str:
    """A content as the text of a file."""
    return content if isinstance(content, str) else json.dumps(content)
