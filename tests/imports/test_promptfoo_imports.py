"""Imports of promptfoo: configs and results, with every type of assertion."""

from __future__ import annotations

import http.server
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from import_lab import Import, bytes_of, import_text
from typer.testing import CliRunner

import evalkit
from evalkit import Score
from evalkit.cli.app import app
from evalkit.errors import InputError
from evalkit.imports.promptfoo_types import ASSERTIONS, Uncarried
from evalkit.suite.parse import load_suite

CONFIG = r"""
description: opening hours
prompts:
  - 'Be short: {{question}}'
  - 'Be kind: {{question}}'
providers:
  - openai:gpt-4o
  - id: https://bot.example/ask
    label: bot
    config:
      headers: {Authorization: 'Bearer sk-abcdefghijklmnop1234', X-Team: shop}
      body: {text: '{{prompt}}', lang: en}
      transformResponse: json.reply.text
defaultTest:
  assert: [{type: latency, threshold: 5000}]
tests:
  - description: hours
    vars: {question: When do you open?, place: Ulm}
    metadata: {topic: hours}
    assert:
      - {type: icontains, value: 'nine in {{place}}'}
      - {type: not-contains, value: sorry}
      - {type: llm-rubric, value: It is polite.}
  - vars: {question: [Refund A-17?, Refund B-2?], place: Bonn}
    metadata: {topic: refund}
    assert: [{type: equals, value: Refunded.}]
"""


def config_of(*assertions: Any, **test: Any) -> dict[str, Any]:
    """A config with one test."""
    return {
        "prompts": ["{{question}}"],
        "providers": ["echo"],
        "tests": [{"vars": {"question": "Hi?"}, "assert": [*assertions], **test}],
    }


def test_a_config_becomes_one_suite_with_its_providers_and_prompts(tmp_path: Path) -> None:
    """Prompts stay in the systems, variables become fields, lists of variables become cases."""
    made = import_text(tmp_path, "promptfooconfig.yaml", CONFIG)
    assert made.counts == {"case": (3, 3), "assertion": (5, 5), "system": (4, 4)}
    assert [each["name"] for each in made.suites] == ["opening hours"]
    systems = made.suite["systems"]
    assert [*systems] == made.suite["release"] == [
        "openai:gpt-4o, prompt 1", "openai:gpt-4o, prompt 2", "bot, prompt 1", "bot, prompt 2",
    ]  # fmt: skip
    assert systems["openai:gpt-4o, prompt 1"] == {"chat": "openai/gpt-4o", "prompt": "Be short: {{input}}"}
    assert systems["bot, prompt 2"] == {
        "http": "https://bot.example/ask",
        "headers": {"Authorization": "Bearer ${AUTHORIZATION}", "X-Team": "shop"},
        "body": {"text": "Be kind: {{input}}", "lang": "en"},
        "pick": {"text": "reply.text"},
    }
    assert [(row["id"], row["input"], row["place"]) for row in made.golden] == [
        ("hours", "When do you open?", "Ulm"), ("test-2", "Refund A-17?", "Bonn"), ("test-2-2", "Refund B-2?", "Bonn"),
    ]  # fmt: skip
    assert made.golden[0]["checks"] == [
        {"contains": {"all": ["nine in Ulm"], "ignore_case": True}},
        {"not_contains": {"all": ["sorry"], "ignore_case": False}},
        {"latency": {"max_s": 5.0}},
    ]
    assert made.suite["cohorts"] == ["topic"]


def test_models_and_prompts_become_a_matrix(tmp_path: Path) -> None:
    """2 prompts x 2 providers x 8 tests: one suite that is no longer than the config, and its prompts in files."""
    config = {
        "prompts": ["Be short: {{question}}", json.dumps([
            {"role": "system", "content": "Be kind."}, {"role": "user", "content": "{{question}}"},
        ])],
        "providers": [
            {"id": f"openai:chat:{name}", "config": {"temperature": 0}} for name in ("gpt-4o", "gpt-4o-mini")
        ],
        "tests": [{"vars": {"question": f"Q{n}?"}, "assert": [{"type": "contains", "value": "a"}]} for n in range(8)],
    }  # fmt: skip
    made = import_text(tmp_path, "promptfooconfig.yaml", yaml.safe_dump(config))
    assert made.counts["system"] == (4, 4)
    assert made.suite["matrix"] == {
        "model": ["openai/gpt-4o", "openai/gpt-4o-mini"],
        "prompt": ["prompts/prompt-1.md", "prompts/prompt-2.json"],
    }
    assert made.suite["system"] == {
        "chat": "{{matrix.model}}", "prompt_file": "{{matrix.prompt}}", "temperature": 0,
    }  # fmt: skip
    assert made.read("prompts/prompt-1.md") == "Be short: {{input}}\n"
    suite = load_suite(made.written.suites[0])
    assert tuple(each.name for each in suite.systems) == suite.options.release
    assert suite.systems[3].name == "openai/gpt-4o-mini/prompt-2"
    lines = made.read("suite.yaml").splitlines()
    assert len(lines) <= len((tmp_path / "promptfooconfig.yaml").read_text().splitlines())


def test_one_prompt_stays_in_the_suite(tmp_path: Path) -> None:
    """Without a second prompt there is no file; equal systems have a suite each, as before."""
    config = config_of({"type": "contains", "value": "a"})
    made = import_text(tmp_path, "c.json", {**config, "providers": ["openai:gpt-4o", "openai:gpt-4o-mini"]})
    assert made.suite["matrix"] == {"model": ["openai/gpt-4o", "openai/gpt-4o-mini"]}
    assert not (made.folder / "prompts").exists()
    twice = import_text(tmp_path, "d.json", {**config, "providers": ["openai:gpt-4o"] * 2}, out="twice")
    assert len(twice.suites) == 2


def test_a_secret_leaves_no_trace_in_what_is_written(tmp_path: Path) -> None:
    """It becomes a variable, which is named; no file and no message repeats it."""
    made = import_text(tmp_path, "promptfooconfig.yaml", CONFIG)
    assert made.written.variables == {
        "OPENAI_API_KEY": "the key of openai/gpt-4o",
        "AUTHORIZATION": "the header Authorization, without `Bearer`",
    }
    assert b"sk-abcdef" not in b"".join(bytes_of(made.folder).values())
    assert "`export AUTHORIZATION=...`" in made.read("IMPORT.md")


def test_a_rubric_becomes_a_file(tmp_path: Path) -> None:
    """The scorer applies to the cases that ask for it."""
    made = import_text(tmp_path, "promptfooconfig.yaml", CONFIG)
    assert made.suite["scorers"] == [
        {"judge": {"rubric": "rubrics/judge.md", "name": "judge", "when": {"has": "for_judge"}}}
    ]
    assert "It is polite." in made.read("rubrics/judge.md")
    assert [row.get("for_judge") for row in made.golden] == [True, None, None]


CARRIED: list[tuple[dict[str, Any], Any]] = [
    ({"type": "equals", "value": "a"}, {"exact": {"ignore_whitespace": False, "nfkc": False}}),
    ({"type": "equals", "value": {"a": 1}}, {"json": {"schema": {"const": {"a": 1}}}}),
    ({"type": "not-equals", "value": "a.b"}, {"not_regex": {"pattern": r"\Aa\.b\z"}}),
    ({"type": "contains", "value": "a"}, {"contains": {"all": ["a"], "ignore_case": False}}),
    ({"type": "contains", "value": 9}, {"contains": {"all": ["9"], "ignore_case": False}}),
    ({"type": "contains", "value": 1.0}, {"contains": {"all": ["1"], "ignore_case": False}}),
    ({"type": "equals", "value": 1.0}, {"exact": {"ignore_whitespace": False, "nfkc": False}}),
    ({"type": "contains-any", "value": [True, 2.0]}, {"contains": {"any": ["true", "2"], "ignore_case": False}}),
    (
        {"type": "contains-all", "value": r'"a, b", c,"say ""d"" \"e\""'},
        {"contains": {"all": ["a, b", "c", 'say "d" "e"'], "ignore_case": False}},
    ),
    (
        {"type": "trajectory:tool-used", "value": {"pattern": "se*", "max": 2}},
        {"steps": {"name": "calls of se_", "step": "se*", "min": 1, "max": 2}},
    ),
    ({"type": "icontains", "value": "a"}, {"contains": {"all": ["a"], "ignore_case": True}}),
    ({"type": "contains-all", "value": "a, b"}, {"contains": {"all": ["a", "b"], "ignore_case": False}}),
    ({"type": "icontains-all", "value": ["a"]}, {"contains": {"all": ["a"], "ignore_case": True}}),
    ({"type": "contains-any", "value": ["a", "b"]}, {"contains": {"any": ["a", "b"], "ignore_case": False}}),
    ({"type": "not-icontains-any", "value": ["a"]}, {"not_contains": {"any": ["a"], "ignore_case": True}}),
    ({"type": "starts-with", "value": "a("}, {"regex": {"pattern": r"\Aa\("}}),
    ({"type": "regex", "value": r"\b9\b"}, {"regex": {"pattern": r"\b9\b"}}),
    ({"type": "is-json"}, "json"),
    ({"type": "contains-json", "value": {"type": "object"}}, {"json": {"schema": {"type": "object"}, "extract": True}}),
    ({"type": "is-refusal"}, "refusal"),
    ({"type": "word-count", "value": {"max": 5}}, {"length": {"max": 5, "unit": "words"}}),
    ({"type": "word-count", "value": 5}, {"length": {"min": 5, "max": 5, "unit": "words"}}),
    ({"type": "latency", "threshold": 1500}, {"latency": {"max_s": 1.5}}),
    ({"type": "cost", "threshold": 0.01}, {"cost": {"max_usd": 0.01}}),
    ({"type": "tool-call-f1", "value": "a, b"}, {"tool_calls": {"arguments": "ignore", "min_f1": 1.0}}),
    ({"type": "trajectory:tool-used", "value": "a"}, {"steps": {"name": "calls of a", "step": "a", "min": 1}}),
    ({"type": "not-trajectory:tool-used", "value": "a"}, {"steps": {"name": "calls of a", "step": "a", "max": 0}}),
    (
        {"type": "trajectory:tool-args-match", "value": {"name": "a", "args": {"x": 1}}},
        {"tool_calls": {"match": "at_least", "arguments": "at_least"}},
    ),
    (
        {"type": "trajectory:tool-sequence", "value": {"steps": ["a", "b"], "mode": "exact"}},
        {"trajectory": {"kinds": ["tool"], "match": "exact", "arguments": "ignore"}},
    ),
    ({"type": "trajectory:step-count", "value": {"type": "tool", "max": 3}}, {"steps": {"kinds": ["tool"], "max": 3}}),
    ({"type": "trace-span-duration", "value": {"max": 2000}}, {"budget": {"seconds": 2.0}}),
    ({"type": "trace-error-spans", "value": {"max_percentage": 10}}, {"tool_errors": {"max": 0.1}}),
]


@pytest.mark.parametrize(("assertion", "check"), CARRIED, ids=lambda each: str(each)[:60])
def test_an_assertion_becomes_a_check(tmp_path: Path, assertion: dict[str, Any], check: Any) -> None:
    """Each rule of promptfoo is a check of its own case, and `evalkit check` finds it sound."""
    made = import_text(tmp_path, "c.json", config_of(assertion))
    assert made.golden[0]["checks"] == [check]
    assert made.losses == []


@pytest.mark.parametrize(
    ("assertion", "kind"),
    [
        ({"type": "similar", "value": "a"}, "similarity"),
        ({"type": "similar:cosine", "value": "a", "threshold": 0.5}, "similarity"),
        ({"type": "rouge-n", "value": "a"}, "rouge_l"),
        ({"type": "bleu", "value": "a"}, "bleu"),
        ({"type": "llm-rubric", "value": "It is polite."}, "judge"),
        ({"type": "not-llm-rubric", "value": "It is rude."}, "not_judge"),
        ({"type": "model-graded-closedqa", "value": "It is polite."}, "judge"),
        ({"type": "g-eval", "value": ["polite", "short"]}, "judge"),
        ({"type": "factuality", "value": "We open at 9."}, "judge"),
        ({"type": "model-graded-factuality", "value": "We open at 9."}, "judge"),
        ({"type": "trajectory:goal-success", "value": "The refund is made."}, "judge"),
        ({"type": "answer-relevance", "threshold": 0.7}, "ragas"),
    ],
    ids=lambda each: str(each)[:50],
)
def test_an_assertion_becomes_a_scorer(tmp_path: Path, assertion: dict[str, Any], kind: str) -> None:
    """What needs a model or an embedding is a scorer of the suite."""
    made = import_text(tmp_path, "c.json", config_of(assertion))
    assert [next(iter(each)) for each in made.suite["scorers"]] == [kind]
    assert made.counts["assertion"] == (1, 1)
    noted = kind in ("similarity", "rouge_l", "bleu")  # figures that differ from those of promptfoo
    assert len(made.losses) == noted


TYPES = """
equals contains icontains contains-all icontains-all contains-any icontains-any starts-with regex is-json contains-json
is-refusal word-count latency cost similar similar:cosine similar:dot similar:euclidean rouge-n bleu gleu meteor
levenshtein llm-rubric model-graded-closedqa g-eval factuality model-graded-factuality answer-relevance
context-faithfulness context-recall context-relevance conversation-relevance tool-call-f1 trajectory:tool-used
trajectory:tool-args-match trajectory:tool-sequence trajectory:step-count trajectory:goal-success trace-error-spans
trace-span-count trace-span-duration guardrails moderation classifier pi agent-rubric search-rubric webhook javascript
python ruby is-sql contains-sql is-xml contains-xml is-html contains-html perplexity perplexity-score
is-valid-function-call is-valid-openai-function-call is-valid-openai-tools-call finish-reason skill-used select-best
max-score human
""".split()


def test_every_type_of_promptfoo_has_a_row() -> None:
    """The table lists every type of promptfoo 0.121, and no other."""
    assert sorted(ASSERTIONS) == sorted(TYPES)


REFUSED = [name for name, row in ASSERTIONS.items() if isinstance(row, Uncarried)]


@pytest.mark.parametrize("name", REFUSED)
def test_an_assertion_without_a_counterpart_is_listed(tmp_path: Path, name: str) -> None:
    """With its place, the reason and what to do; the rest of the test is carried over."""
    made = import_text(tmp_path, "c.json", config_of({"type": "contains", "value": "a"}, {"type": name, "value": "x"}))
    (loss,) = made.written.losses
    assert loss.place == "c.json tests[0].assert[1]"
    assert loss.what.startswith(f"{name}: ")
    assert loss.fix
    assert made.counts["assertion"] == (2, 1)
    assert name in made.read("IMPORT.md")


@pytest.mark.parametrize(("written", "meant"), [("contians", "contains"), ("llm-rubrik", "llm-rubric")])
def test_a_type_with_a_typing_error_is_answered_with_the_known_one(tmp_path: Path, written: str, meant: str) -> None:
    """The fix is the right spelling, and not a scorer of one's own."""
    made = import_text(tmp_path, "c.json", config_of({"type": "contains", "value": "a"}, {"type": written}))
    (loss,) = made.written.losses
    assert loss.fix == f"write `{meant}` if you mean that, and import again"


@pytest.mark.parametrize(
    ("assertion", "what"),
    [
        ({"type": "regex", "value": "(?<=a)b"}, "regex: '(?<' at character 1"),
        ({"type": "regex", "value": r"(a)\1"}, "regex: back-reference"),
        ({"type": "equals", "value": "file://answer.txt"}, "equals: names a file"),
        ({"type": "contains", "value": "file:///etc/passwd"}, "contains: names a file"),
        ({"type": "contains", "value": "{{ question | upper }}"}, "contains: `{{question | upper}}` uses more"),
        ({"type": "contains", "value": "{% if a %}b{% endif %}"}, "contains: uses blocks of Nunjucks"),
        ({"type": "contains", "value": "{{nobody}}"}, "contains: `{{nobody}}` is not a variable"),
        ({"type": "contains", "value": "a", "transform": "output.a"}, "contains: `transform` changes the output"),
        ({"type": "assert-set", "threshold": 0.5, "assert": []}, "assert-set: a set with a threshold"),
        ({"type": "contains-any", "value": '"a, b'}, "contains-any: `contains-any` without a text"),
        ({"type": "similar", "value": "a", "threshold": "0.9"}, "similar: its `threshold` is not a number"),
        (
            {"type": "not-trajectory:tool-used", "value": {"name": "a", "max": 2}},
            "trajectory:tool-used: `not-` before a `min` or `max`",
        ),
        ({"type": "no-such-type"}, "no-such-type: no assertion type"),
        ({"value": "a"}, "None: an assertion without a type"),
        ("a", "None: an assertion without a type"),
        ({"type": "word-count", "value": "many"}, "word-count: `min` is not a whole number"),
        ({"type": "latency"}, "latency: no `threshold`"),
        ({"type": "not-similar", "value": "a"}, "similar: `not-similar` has no counterpart"),
        ({"type": "context-recall", "value": "a"}, "context-recall: the test has no variable `context`"),
    ],
    ids=lambda each: str(each)[:50],
)
def test_an_assertion_that_cannot_be_read_is_listed(tmp_path: Path, assertion: Any, what: str) -> None:
    """Nothing is dropped without a word, and nothing is read from other files."""
    made = import_text(tmp_path, "c.json", config_of({"type": "contains", "value": "x"}, assertion))
    ((place, said),) = made.losses
    assert place == "c.json tests[0].assert[1]"
    assert said.removeprefix("not-").startswith(what)


def test_weights_and_thresholds_are_noted(tmp_path: Path) -> None:
    """Weight 0 is shown alone; other weights and a threshold of the test are losses of meaning, not of assertions."""
    made = import_text(
        tmp_path,
        "c.json",
        config_of(
            {"type": "contains", "value": "a", "weight": 0, "metric": "tone"},
            {"type": "contains", "value": "b", "weight": 3},
            threshold=0.5,
        ),
    )
    assert made.suite["scorers"] == [
        {"contains": {"all": ["a"], "ignore_case": False, "name": "tone", "advisory": True}}
    ]
    assert made.counts["assertion"] == (2, 2)
    assert [what[:13] for _, what in made.losses] == ["weight 3: a c", "threshold 0.5"]


def test_what_an_assertion_loses_of_its_meaning_is_noted(tmp_path: Path) -> None:
    """A rubric passes or fails, whatever the threshold; a test's own judge and repeats are not read."""
    config = config_of({"type": "llm-rubric", "value": "Polite.", "threshold": 0.8}, options={"provider": "openai:m"})
    made = import_text(tmp_path, "c.json", {**config, "evaluateOptions": {"repeat": 3}})
    assert sorted(what for _, what in made.losses) == [
        "`options.provider` of the test is not read",
        "llm-rubric: threshold 0.8: the judge says pass or fail",
        "repeat 3",
    ]


def test_the_judge_of_a_config_is_the_judge_of_the_suite(tmp_path: Path) -> None:
    """Named under `defaultTest.options.provider`."""
    config = {
        **config_of({"type": "llm-rubric", "value": "Polite."}),
        "defaultTest": {"options": {"provider": "openai:gpt-4o"}},
    }
    made = import_text(tmp_path, "c.json", config)
    assert made.suite["judge"] == {"chat": {"model": "openai/gpt-4o"}}
    assert made.losses == []


def test_a_set_without_a_threshold_is_its_assertions(tmp_path: Path) -> None:
    """They are checks of the case."""
    inner = [{"type": "contains", "value": "a"}, {"type": "contains", "value": "b"}]
    made = import_text(tmp_path, "c.json", config_of({"type": "assert-set", "assert": inner}))
    assert len(made.golden[0]["checks"]) == 2
    assert made.losses == []


def test_a_set_of_weight_0_decides_nothing(tmp_path: Path) -> None:
    """Neither do its assertions; another weight of it, and its metric, are noted."""
    inner = [{"type": "contains", "value": "a"}]
    sets = [{"type": "assert-set", "weight": weight, "assert": inner, "metric": "m"} for weight in (0, 2)]
    made = import_text(tmp_path, "c.json", config_of(*sets))
    (scorer,) = made.suite["scorers"]
    assert scorer["contains"]["advisory"]
    assert len(made.golden[0]["checks"]) == 1
    assert [what for _, what in made.losses] == [
        "`metric` of the set is not read",
        "weight 2 of the set: a case passes if every check passes",
        "`metric` of the set is not read",
    ]


def test_variables_are_filled_with_each_other(tmp_path: Path) -> None:
    """As deep as they name each other; a circle or a text without end is listed."""
    chain = {"name": "Bob", "question": "Hi {{name}}", "third": "{{question}}!"}
    config = config_of({"type": "contains", "value": "{{third}}"}, vars=chain)
    assert import_text(tmp_path, "c.json", config).golden[0]["checks"][0]["contains"]["all"] == ["Hi Bob!"]
    circle, bomb = {"question": "{{a}}", "a": "b{{question}}"}, {"question": "{{a}}" * 50_000, "a": "x" * 50_000}
    others = [{"vars": circle}, {"vars": bomb}]
    made = import_text(tmp_path, "d.json", {**config, "tests": [*config["tests"], *others]}, out="others")
    assert [what for _, what in made.losses] == [
        "variables that name each other more than 5 levels deep",
        "a text of more than 1,048,576 characters when it is filled",
    ]


def test_assertions_that_are_no_list_are_listed(tmp_path: Path) -> None:
    """A forgotten dash does not lose a check without a word."""
    config = config_of()
    config["tests"][0]["assert"] = {"type": "contains", "value": "a"}
    made = import_text(tmp_path, "c.json", config)
    assert made.losses == [("c.json tests[0].assert", "`assert` is not a list")]
    assert made.counts["assertion"] == (1, 0)


@pytest.mark.parametrize(
    ("provider", "system"),
    [
        ("openai:chat:gpt-4o", {"chat": "openai/gpt-4o"}),
        ("anthropic:messages:claude-x", {"chat": "anthropic/claude-x"}),
        ("ollama:chat:llama3", {"chat": "ollama/llama3"}),
        (
            {"openai:gpt-4o": {"config": {"temperature": 0, "max_tokens": 9, "top_p": 1}}},
            {"chat": "openai/gpt-4o", "temperature": 0, "max_tokens": 9, "parameters": {"top_p": 1}},
        ),
        (
            {"id": "openai:m", "config": {"apiBaseUrl": "http://h/v1", "apiKey": "sk-abcdefghijklmnop1234"}},
            {"chat": "m", "base_url": "http://h/v1", "api_key_env": "OPENAI_API_KEY"},
        ),
        (
            {"id": "https", "config": {"url": "https://h/{{env.PLACE}}", "headers": {"X": "{{env.TOKEN}}"}}},
            {"http": "https://h/${PLACE}", "headers": {"X": "${TOKEN}"}},
        ),
        (
            {"id": "https://h/a?api_key=abcdef123", "config": {"body": {"q": "{{question}}"}}},
            {"http": "${SYSTEM_URL}", "body": {"q": "{{input}}"}},
        ),
        ("exec:python3 -u bot.py", {"command": ["python3", "-u", "bot.py"]}),
    ],
    ids=str,
)
def test_a_provider_becomes_a_system(tmp_path: Path, provider: Any, system: dict[str, Any]) -> None:
    """Addresses and settings are kept, secrets become variables, and `evalkit check` is sound with them unset."""
    made = import_text(tmp_path, "c.json", {**config_of({"type": "contains", "value": "a"}), "providers": [provider]})
    assert made.suite["system"] == system
    assert made.counts["system"] == (1, 1)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"providers": ["file://p.js"]}, "the provider 'file://p.js' runs a file"),
        ({"providers": ["bedrock:x"]}, "the provider 'bedrock:x' is not known here"),
        ({"providers": ["openai:embedding:x"]}, "the provider 'openai:embedding:x' is not a chat model"),
        ({"providers": [{"a": 1, "b": 2}]}, "a provider without an id"),
        ({"providers": ["exec:no-such-program-here x"]}, "no program 'no-such-program-here' that can be run"),
        ({"providers": ["openai:m"], "prompts": ["file://p.txt"]}, "there is no file 'p.txt' beside the config"),
        ({"providers": ["openai:m"], "prompts": ["prompts/p.py"]}, "is not the name of a file in a text, JSON or YAML"),
        ({"providers": ["openai:m"], "prompts": ["file://../p.txt"]}, "is outside of the folder of the config"),
        ({"providers": ["openai:m"], "prompts": ["{{ a | b }}"]}, "`{{a | b}}` uses more of Nunjucks"),
        (
            {"providers": [{"id": "openai:m", "config": {"passthrough": 1}}]},
            "`passthrough` of the provider is not read",
        ),
        ({"providers": [{"id": "https://h/a", "config": {"body": {"q": "${X}"}}}]}, "`${...}` in `body` of the system"),
        ({"providers": [{"id": "https://h/a", "config": {"headers": {"a": "b\nc"}}}]}, "a header holds a line break"),
        ({"providers": [{"id": "https://h/a", "config": {"url": "https:// h"}}]}, "expected an http or https address"),
        ({"defaultTest": {"options": {"provider": "openai:"}}}, "names no model"),
        ({"scenarios": [{}]}, "`scenarios` is not read"),
        ({"defaultTest": "file://d.yaml"}, "names a file"),
    ],
    ids=str,
)
def test_a_part_of_a_config_that_cannot_be_carried_is_listed(tmp_path: Path, change: Any, what: str) -> None:
    """Where no provider is left, the suite calls bot.py, which says what to do."""
    made = import_text(tmp_path, "c.json", {**config_of({"type": "contains", "value": "a"}), **change})
    assert what in " ".join(said for _, said in made.losses)
    if made.counts["system"] == (1, 0):
        assert made.suite["system"] == {"command": ["python3", "bot.py"]}
        assert "call your system here" in made.read("bot.py")


def test_prompts_in_files_are_those_of_the_systems(tmp_path: Path) -> None:
    """A text file may hold several, between lines of three hyphens; JSON is a list of messages."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "two.txt").write_text("Be kind: {{question}}\n---\nBe brief: {{question}}\n", encoding="utf-8")
    talk = [{"role": "system", "content": "You are a clerk."}, {"role": "user", "content": "{{question}}"}]
    (tmp_path / "p" / "talk.json").write_text(json.dumps(talk), encoding="utf-8")
    (tmp_path / "p" / "empty.md").write_text(" \n", encoding="utf-8")
    prompts = ["file://p/two.txt", "p/talk.json", "file://p/empty.md"]
    change = {"prompts": prompts, "providers": ["openai:m"]}
    made = import_text(tmp_path, "c.json", {**config_of({"type": "contains", "value": "a"}), **change})
    assert made.losses == [("c.json prompts[2]", "'p/empty.md' is empty")]
    assert made.counts["system"] == (4, 3)
    written = sorted(file.name for file in (made.folder / "prompts").iterdir())
    assert written == ["prompt-1.md", "prompt-2.md", "prompt-3.json"]
    assert made.read("prompts/prompt-2.md") == "Be brief: {{input}}\n"
    assert json.loads(made.read("prompts/prompt-3.json"))[0]["content"] == "You are a clerk."


def test_a_prompt_in_a_file_is_listed_once_at_its_own_place(tmp_path: Path) -> None:
    """However many providers it would be sent to; systems with a prompt that can be read are carried over."""
    prompts = ["file://a.txt", "Be kind: {{question}}", "prompts/b.txt"]
    change = {"prompts": prompts, "providers": ["openai:m", "openai:n", "file://p.js"]}
    made = import_text(tmp_path, "c.json", {**config_of({"type": "contains", "value": "a"}), **change})
    assert made.losses == [
        ("c.json prompts[0]", "there is no file 'a.txt' beside the config"),
        ("c.json prompts[2]", "there is no file 'prompts/b.txt' beside the config"),
        ("c.json providers[2]", "the provider 'file://p.js' runs a file"),
    ]
    assert made.counts["system"] == (9, 2)


def test_a_chat_with_variables_before_its_last_message_is_a_prompt_file(tmp_path: Path) -> None:
    """In a system message or in earlier turns, in JSON or YAML; with other providers it stays beside the suite too."""
    (tmp_path / "p").mkdir()
    steps = [{"role": "system", "content": "Answer in {{place}}."}, {"role": "user", "content": "{{question}}"}]
    shots = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, steps[1]]
    (tmp_path / "p" / "a.json").write_text(json.dumps(steps), encoding="utf-8")
    (tmp_path / "p" / "b.yaml").write_text(yaml.safe_dump(shots), encoding="utf-8")
    (tmp_path / "p" / "c.txt").write_text("In {{place}}: {{question}}", encoding="utf-8")
    tests = [{"vars": {"question": "When?", "place": "Ulm"}, "assert": [{"type": "contains", "value": "a"}]}]
    config = {"prompts": ["file://p/*"], "providers": ["openai:m", "openai:n"], "tests": tests}
    made = import_text(tmp_path, "c.json", config)
    assert made.losses == []
    files = ["prompts/prompt-1.json", "prompts/prompt-2.json", "prompts/prompt-3.md"]
    assert made.suite["matrix"] == {"model": ["openai/m", "openai/n"], "prompt": files}
    first = [steps[0], {"role": "user", "content": "{{input}}"}]
    assert json.loads(made.read(files[0])) == first
    assert [each["content"] for each in json.loads(made.read(files[1]))] == ["Hi", "Hello", "{{input}}"]
    providers = ["openai:m", {"id": "openai:n", "config": {"temperature": 0}}]
    made = import_text(tmp_path, "d.json", {**config, "providers": providers}, "named")
    assert made.suite["systems"]["openai:m, prompt 2"] == {"chat": "openai/m", "prompt_file": files[1]}
    assert json.loads(made.read(files[0])) == first
    made = import_text(tmp_path, "e.json", {**config, "prompts": [steps], "providers": ["openai:m"]}, "one")
    assert made.suite["system"] == {"chat": "openai/m", "prompt_file": files[0]}


def test_a_variable_of_a_mapping_and_a_chat_in_yaml(tmp_path: Path) -> None:
    """A prompt may name a part of a variable; a text that begins with `- role:` is a chat, as promptfoo reads it."""
    talk = "- role: system\n  content: You serve {{user.name}}\n- role: user\n  content: '{{question}}'\n"
    tests = [{"vars": {"question": "When?", "user": {"name": "Bo"}}, "assert": [{"type": "contains", "value": "a"}]}]
    config = {"prompts": ["For {{user.name}}: {{question}}", talk], "providers": ["openai:m"], "tests": tests}
    made = import_text(tmp_path, "c.json", config)
    assert made.losses == []
    assert made.read("prompts/prompt-1.md") == "For {{var_user.name}}: {{input}}\n"
    assert [each["content"] for each in json.loads(made.read("prompts/prompt-2.json"))] == [
        "You serve {{var_user.name}}", "{{input}}",
    ]  # fmt: skip


def test_tests_of_several_files_are_named_by_a_pattern(tmp_path: Path) -> None:
    """In the order of their names."""
    for name in ("b", "a"):
        (tmp_path / f"{name}.yaml").write_text(f"- vars: {{question: {name}?}}\n", encoding="utf-8")
    config = {"prompts": ["{{question}}"], "providers": ["openai:m"], "tests": "file://*.yaml"}
    assert [row["input"] for row in import_text(tmp_path, "c.json", config).golden] == ["a?", "b?"]


def test_an_output_of_tool_calls_reports_them(tmp_path: Path) -> None:
    """As promptfoo stores the calls of OpenAI: a list, or the message; another list is a text."""
    calls = [{"id": "c", "type": "function", "function": {"name": "get", "arguments": '{"a": 1}'}}]
    odd = [{"function": {"name": 7}}]
    outputs = [calls, {"role": "assistant", "content": "x", "tool_calls": calls}, odd, [{"a": 1}], []]
    result = {"promptIdx": 0, "provider": {"id": "p"}, "success": True, "score": 1, "testCase": {"assert": []}}
    rows = [
        {**result, "testIdx": at, "vars": {"question": f"q{at}"}, "response": {"output": output}}
        for at, output in enumerate(outputs)
    ]
    made = import_text(tmp_path, "r.json", {"results": {"version": 3, "results": rows}, "evalId": "e"})
    assert [each["output"].get("tool_calls") for each in made.answers] == [calls, calls, None, None, None]


@pytest.mark.parametrize(
    ("prompt", "what"),
    [
        ("file://p/*.txt", "'p/*.txt' matches 0 files beside the config"),
        ("file://../*.txt", "'..' is outside of the folder of the config"),
        ("file://*/a.txt", "matches 0 files"),
        ([{"role": "user", "content": "{{question}}"}, {"role": "assistant", "content": "Hm"}], "does not end with"),
        ([{"role": "tool", "content": "4"}, {"role": "user", "content": "{{question}}"}], "does not end with the user"),
        ([{"role": "user", "content": "A"}, {"role": "user", "content": "B"}], "the prompt has no variable"),
        ([{"role": "user", "content": [{"type": "text"}]}], "parts that are not text"),
    ],
    ids=str,
)
def test_a_chat_or_pattern_that_cannot_be_carried_is_listed(tmp_path: Path, prompt: Any, what: str) -> None:
    """With the reason; no file outside of the folder of the config is looked for."""
    change = {"prompts": [prompt], "providers": ["openai:m"]}
    made = import_text(tmp_path, "c.json", {**config_of({"type": "contains", "value": "a"}), **change})
    assert what in " ".join(said for _, said in made.losses)


def test_a_case_that_cannot_be_carried_is_listed(tmp_path: Path) -> None:
    """The others are carried over; without any, nothing is written."""
    config = config_of({"type": "contains", "value": "a"})
    config["tests"] += [{"vars": "file://v.csv"}, {"vars": {"question": "file://q.txt"}}, 7]
    made = import_text(tmp_path, "c.json", config)
    assert made.counts["case"] == (4, 1)
    assert [place for place, _ in made.losses] == ["c.json tests[1]", "c.json tests[2]", "c.json tests[3]"]
    with pytest.raises(InputError, match="no case in it can be carried over"):
        import_text(tmp_path, "d.json", {**config, "tests": "file://tests.csv"}, "none")
    assert not (tmp_path / "none").exists()


def results_of(*rows: dict[str, Any]) -> dict[str, Any]:
    """Results of version 3."""
    return {"evalId": "e", "config": {"description": "shop"}, "results": {"version": 3, "results": [*rows]}}


def result(text: Any, *, column: int = 0, question: str = "Hi?", **more: Any) -> dict[str, Any]:
    """One result."""
    asserts = [{"type": "contains", "value": "hello"}]
    return {
        "promptIdx": column, "testIdx": 0, "provider": {"id": f"bot-{column}", "label": ""}, "success": True,
        "score": 1, "vars": {"question": question}, "response": {"output": text}, "failureReason": 0, "latencyMs": 100,
        "testCase": {"vars": {"question": question}, "assert": asserts},
        "gradingResult": {"componentResults": [{"pass": True, "score": 1, "assertion": asserts[0]}]}, **more,
    }  # fmt: skip


def verdicts(made: Import, at: int = 0) -> dict[str, bool | None]:
    """Whether each case passed its checks."""
    grades = {id_: row.scores.get("checks") for id_, row in made.run(at).items()}
    return {id_: grade.passed if isinstance(grade, Score) else None for id_, grade in grades.items()}


def test_results_are_replayed_and_judged_alike(tmp_path: Path) -> None:
    """Checks pass where promptfoo's assertions passed; an error is a failed call; columns are suites of their own."""
    usage = {"tokenUsage": {"prompt": 30, "completion": 4, "total": 34}, "cost": 0.002}
    made = import_text(
        tmp_path,
        "out.json",
        results_of(
            result("hello you", **usage),
            result("bye", question="Who?", success=False, score=0, failureReason=1, error="Expected hello"),
            result(None, question="What?", success=False, score=0, failureReason=2, error="HTTP 500"),
            result({"text": "hello"}, column=1),
        ),
    )
    assert made.counts == {"case": (3, 3), "assertion": (3, 3), "output": (4, 4)}
    assert [each["system"] for each in made.suites] == [{"replay": "answers.jsonl"}, {"replay": "answers-2.jsonl"}]
    assert made.answers[0]["output"] == {
        "text": "hello you",
        "latency_s": 0.1,
        "usage": {"input_tokens": 30, "output_tokens": 4, "cost_usd": 0.002},
    }
    assert made.answers[2]["failure"] == {"kind": "error", "message": "HTTP 500"}
    assert [row["recorded"]["pass"] for row in made.answers] == [True, False, False]
    assert verdicts(made) == {"test-1": True, "test-2": False, "test-3": None}
    assert '{"text": "hello"}' in [row["output"]["text"].replace("'", '"') for row in _rows(made, "answers-2.jsonl")]


def _rows(made: Import, name: str) -> list[dict[str, Any]]:
    import json

    return [json.loads(line) for line in made.read(name).splitlines()]


def test_tokens_and_cost_of_nought_are_unknown(tmp_path: Path) -> None:
    """A provider that counts none reports 0, which is no measurement; a cached answer has no latency."""
    usage = {"tokenUsage": {"prompt": 0, "completion": 0, "total": 0}, "cost": 0}
    made = import_text(tmp_path, "o.json", results_of(result("a", **usage, response={"output": "a", "cached": True})))
    assert made.answers[0]["output"] == {"text": "a"}


def test_a_test_that_was_run_again_is_a_repeat(tmp_path: Path) -> None:
    """Equal tests of one column are one case."""
    made = import_text(tmp_path, "o.json", results_of(result("hello"), result("bye")))
    assert [(row["id"], row["repeat"]) for row in made.answers] == [("test-1", 0), ("test-1", 1)]
    assert made.suite["repeat"] == 2


def test_what_a_person_said_is_a_label(tmp_path: Path) -> None:
    """The rating of promptfoo's viewer goes with the answer that it is about; other verdicts are no labels."""
    human = {"pass": False, "score": 0, "reason": "Manual result", "assertion": {"type": "human"}}
    rated = result("hello", gradingResult={"componentResults": [human]})
    made = import_text(tmp_path, "o.json", results_of(rated, result("hello two")))
    assert made.counts["label"] == (1, 1)
    assert '"scorer": "human", "label": "fail", "rater": "promptfoo", "rater_kind": "person"' in made.read(
        "labels.jsonl"
    )
    assert made.suite["labels"] == ["labels.jsonl"]


def test_an_output_that_is_left_out_leaves_no_gap(tmp_path: Path) -> None:
    """The repeats of a case are counted from 0."""
    broken = result("x", metadata={"messages": [{"role": "nobody", "content": "x"}]})
    made = import_text(tmp_path, "o.json", results_of(broken, result("hello")))
    assert [(row["repeat"], row["output"]["text"]) for row in made.answers] == [(0, "hello")]
    assert made.counts["output"] == (2, 1)


def test_variables_of_results_are_text(tmp_path: Path) -> None:
    """They were filled before the call; an assertion of them is filled from them."""
    row = result("hello {{name}}", question="What is {{name}}?")
    row["testCase"]["assert"] = [{"type": "contains", "value": "{{question}}"}]
    made = import_text(tmp_path, "o.json", results_of(row))
    assert made.golden[0]["input"] == "What is {{name}}?"
    assert made.golden[0]["checks"] == [{"contains": {"all": ["What is {{name}}?"], "ignore_case": False}}]


def test_results_in_json_lines(tmp_path: Path) -> None:
    """`promptfoo eval -o out.jsonl` writes a result a line."""
    import json

    text = "".join(json.dumps(result(word)) + "\n" for word in ("hello",))
    made = import_text(tmp_path, "out.jsonl", text)
    assert made.written.kind == "promptfoo results"
    assert made.answers[0]["output"]["text"] == "hello"


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    """Nothing depends on time, order of sets or place."""
    first = import_text(tmp_path, "c.yaml", CONFIG, "a")
    second = import_text(tmp_path, "c.yaml", CONFIG, "b")
    assert bytes_of(first.folder) == bytes_of(second.folder)


def test_strict_writes_nothing_if_anything_is_lost(tmp_path: Path) -> None:
    """Exit code 2 with each loss; without a loss it is written."""
    with pytest.raises(InputError, match=re.escape("c.json tests[0].assert[0]: python: it is code")):
        import_text(tmp_path, "c.json", config_of({"type": "python", "value": "1"}), strict=True)
    assert not (tmp_path / "out").exists()
    assert import_text(tmp_path, "d.json", config_of({"type": "contains", "value": "a"}), strict=True).losses == []


def test_limit_reads_the_first_cases(tmp_path: Path) -> None:
    """`--limit` counts tests."""
    made = import_text(tmp_path, "c.yaml", CONFIG, limit=1)
    assert [row["id"] for row in made.golden] == ["hours"]


DESK = r"""
description: Parcel desk
prompts:
  - 'Answer in one sentence: {{question}}'
  - |-
    You work at a parcel desk in {{city}}.
    Question: {{question}}
providers:
  - id: http://HOST/ask
    label: short
    config:
      method: POST
      headers: {Content-Type: application/json, Authorization: 'Bearer {{env.DESK_KEY}}'}
      body: {text: '{{prompt}}', style: short}
      transformResponse: json.reply
  - id: http://HOST/ask
    label: long
    config: {method: POST, body: {text: '{{prompt}}', style: long}, transformResponse: json.reply}
defaultTest:
  vars: {city: Ulm}
  assert:
    - {type: latency, threshold: 60000}
    - {type: not-icontains, value: as an AI}
tests:
  - description: opening
    vars: {question: When do you open?}
    assert: [{type: icontains, value: NINE}, {type: regex, value: '\bnine\b'}]
  - description: closing
    vars: {question: When do you close?}
    assert: [{type: contains-any, value: [six, '18']}, {type: starts-with, value: We}]
  - description: price
    vars: {question: What is a parcel of 2 kg?}
    assert: [{type: contains-all, value: ['4.90', EUR]}, {type: word-count, value: {max: 40}}]
  - description: json
    vars: {question: Give the prices as JSON.}
    assert: [{type: is-json}, {type: contains-json}]
  - {description: place, vars: {question: Where are you?}, assert: [{type: contains, value: '{{city}}'}]}
  - {description: refusal, vars: {question: Send a weapon.}, assert: [{type: is-refusal}]}
  - {description: exact, vars: {question: Say OK.}, assert: [{type: equals, value: OK}]}
  - {description: lost, vars: {question: My parcel is lost.}, assert: [{type: icontains-any, value: [CLAIM, search]}]}
"""
SAID = {
    "open": "We open at nine in Ulm.", "close": "We close at six.", "2 kg": "We charge 4.90 EUR.",
    "JSON": '{"2kg": 4.9}', "Where": "We are in Ulm.", "weapon": "I'm sorry, but I can't help with that.",
    "Say OK": "OK", "lost": "We search for it.",
}  # fmt: skip


class Desk(http.server.BaseHTTPRequestHandler):
    """Answers as a desk; in the long style, the answer about the closing time begins with another word."""

    def do_POST(self) -> None:
        """Answer one question."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = next(text for key, text in SAID.items() if key in asked["text"])
        if asked["style"] == "long" and "six" in reply:
            reply = "At six."
        body = json.dumps({"reply": reply}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""


def test_a_config_moves_in_one_command_and_its_run_shows_four_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 prompts x 2 providers x 8 tests with 12 types; by hand: only the long style fails, at `starts-with` We."""
    monkeypatch.setenv("DESK_KEY", "a")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        config = DESK.replace("HOST", f"127.0.0.1:{server.server_port}")
        made = import_text(tmp_path, "promptfooconfig.yaml", config)
        assert made.losses == []
        assert made.counts == {"case": (8, 8), "assertion": (14, 14), "system": (4, 4)}
        assert len(made.read("suite.yaml").splitlines()) <= len(config.splitlines())
        ended = CliRunner().invoke(app, ["run", str(made.written.suites[0]), "--out", str(tmp_path / "run")])
        assert ended.exit_code in (0, 1), ended.output
    finally:
        server.shutdown()
        server.server_close()
    folders = sorted((tmp_path / "run" / "systems").iterdir())
    failed = {
        folder.name: [
            row.case.id
            for row in evalkit.load_run(folder).rows()
            if not all(isinstance(grade, Score) and grade.passed is not False for grade in row.scores.values())
        ]
        for folder in folders
    }
    assert failed == {
        "short-prompt-1": [], "short-prompt-2": [], "long-prompt-1": ["closing"], "long-prompt-2": ["closing"],
    }  # fmt: skip
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert all(each in page for each in ("short, prompt 1", "short, prompt 2", "long, prompt 1", "long, prompt 2"))


def test_a_metric_names_the_judge_that_gives_it(tmp_path: Path) -> None:
    """In letters that a file and a field may have."""
    made = import_text(
        tmp_path,
        "promptfooconfig.json",
        config_of(
            {"type": "llm-rubric", "value": "It is polite, and offers more help.\nAlways.", "metric": "tone: polite"},
            {"type": "llm-rubric", "value": "It is short.", "metric": "../../x"},
        ),
    )
    assert [scorer["judge"]["name"] for scorer in made.suite["scorers"]] == ["tone_polite", "judge"]
    assert "rubrics/tone_polite.md" in {file.relative_to(made.folder).as_posix() for file in made.written.files}
