"""Suites with several systems."""

from __future__ import annotations

import hashlib
import json

import pytest

from evalkit.errors import InputError
from evalkit.gate.amendments import amendments
from evalkit.suite.named_system import REFERENCE
from evalkit.suite.parse import load_suite
from evalkit.suite.rules import options_of_text, rules_of
from evalkit.suite.systems import alone

HEAD = "name: many\ngolden: cases.jsonl\nscorers: [exact]\n"
MATRIX = """\
matrix:
  model: [small, large]
  prompt: [prompts/short.md, prompts/steps.md]
system: {chat: "{{matrix.model}}", base_url: "http://127.0.0.1:9/v1", prompt_file: "{{matrix.prompt}}"}
"""


@pytest.fixture
def read(tmp_path):
    """Write a suite, and read it."""
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "cases.jsonl").write_text(json.dumps({"id": "a", "input": "x", "reference": "y"}) + "\n")
    (tmp_path / "prompts").mkdir()
    for name in ("short", "steps"):
        (tmp_path / "prompts" / f"{name}.md").write_text(f"{name}: {{{{input}}}}")

    def made(text, head=HEAD):
        file = tmp_path / "suite.yaml"
        file.write_text(head + text)
        return load_suite(file, "suite.yaml")

    return made


def names(suite):
    """The names of the systems."""
    return [each.name for each in suite.systems]


def problems(read, text):
    """The problems of a suite."""
    with pytest.raises(InputError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def test_every_combination_is_a_system(read):
    """The last factor changes first; files are named by their stem."""
    suite = read(MATRIX)
    assert ["small/short", "small/steps", "large/short", "large/steps"] == names(suite)
    assert {"model": "large", "prompt": "prompts/steps.md"} == suite.systems[3].factors
    assert ("large", "prompts/steps.md") == (suite.systems[3].config.chat, suite.systems[3].config.prompt_file)
    assert "small/short" == suite.reference.name
    assert suite.system == suite.systems[0].config


def test_exclude_and_include(read):
    """An entry of `include` may set further keys of the system, and have a name."""
    suite = read(
        MATRIX.replace(
            "system:",
            """\
  exclude: [{model: large, prompt: prompts/steps.md}]
  include:
    - {model: local, prompt: prompts/short.md, base_url: "http://127.0.0.1:8/v1"}
    - {model: local, prompt: prompts/steps.md, name: mine, temperature: 1}
system:""",
        )
    )
    assert ["small/short", "small/steps", "large/short", "local/short", "mine"] == names(suite)
    assert "http://127.0.0.1:8/v1" == suite.systems[3].config.base_url
    assert 1 == suite.systems[4].config.temperature


def test_a_value_keeps_its_type_and_becomes_text_in_a_text(read):
    """`"{{matrix.t}}"` alone is the number; other placeholders wait for the cases."""
    suite = read(
        'matrix: {t: [0, 0.5]}\nsystem: {chat: m, base_url: "http://h/v1", temperature: "{{matrix.t}}", '
        'system_prompt: "at {{matrix.t}}", prompt: "{{input}} {{id}}"}\n'
    )
    assert [(0, "at 0"), (0.5, "at 0.5")] == [(e.config.temperature, e.config.system_prompt) for e in suite.systems]
    assert "{{input}} {{id}}" == suite.systems[0].config.prompt


def test_named_systems_of_every_kind(read):
    """They come before a matrix, and may have their own concurrency and budget."""
    suite = read(
        """\
systems:
  today: {http: "http://127.0.0.1:9/answer", concurrency: 2, budget_usd: 1.5}
  code: {python: "bot:answer"}
  program: {command: [cat]}
  stored: {replay: golden}
reference: code
"""
    )
    assert ["http", "python", "command", "replay"] == [each.kind for each in suite.systems]
    assert (2, 1.5) == (suite.systems[0].concurrency, suite.systems[0].budget_usd)
    assert "code" == suite.reference.name
    assert suite.system == suite.systems[1].config
    assert suite.reading.replays


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "system: missing; add `system:`"),
        ("system: {command: [cat]}\nrelease: [x]\n", "release: the suite has one system"),
        ("systems: {a: {command: [cat]}}\nsystem: {command: [cat]}\n", "system: given beside `systems`"),
        ("systems: {a: {comand: [cat]}}\n", "systems.a: expected one of python, http"),
        ("systems: {a: {command: [cat], concurrency: 0}}\n", "systems.a.concurrency: expected 1 to 1000"),
        ("systems: {a: {command: [cat], budget_usd: -1}}\n", "systems.a.budget_usd: must be above 0"),
        ("matrix: {model: [a]}\n", "system: a matrix needs one"),
        (MATRIX.replace("{{matrix.model}}", "{{matrix.modle}}"), "no factor `modle`; did you mean `model`?"),
        (MATRIX.replace('"{{matrix.model}}"', "m"), "matrix.model: no key of `system` uses it"),
        (MATRIX.replace("[small, large]", "[]"), "matrix.model: no value"),
        (MATRIX.replace("[small, large]", "[small, small]"), "matrix.model[1]: 'small' is named twice"),
        (MATRIX.replace("[small, large]", "[{a: 1}]"), "matrix.model[0]: expected a text or a number"),
        (MATRIX.replace("system:", "  exclude: [{modle: large}]\nsystem:"), "did you mean `model`?"),
        (MATRIX.replace("system:", "  exclude: [{model: huge}]\nsystem:"), "matches no combination"),
        (MATRIX.replace("system:", "  include: [{model: huge}]\nsystem:"), "has no value of prompt"),
        (MATRIX + "reference: small/shrt\n", "no system is called 'small/shrt'; did you mean `small/short`?"),
        (MATRIX + "release: [big/short, small/step]\n", "release[1]: no system is called 'small/step'; did you mean"),
        (MATRIX + "release: [small/steps, small/steps]\n", "release: a system is named twice"),
        (
            MATRIX + "release: [small/short]\ngate: [no_regression]\n",
            "release: 'small/short' is the reference, and would be compared with itself",
        ),
        (
            "system: {command: [cat]}\ngate: [best: 0.02]\n",
            "gate[0].best: compares the systems of a run, and the suite has one; remove it, or write `systems:`",
        ),
        (
            MATRIX + "gate: [pass_rate: 0.5, {best: {within: 0.02}}]\n",
            "gate[1].best: decides about the systems under `release:`, and there is none; add `release: [large/steps]`",
        ),
        (
            "systems: {a: {command: [cat]}}\nrelease: [a]\ngate: [best]\n",
            "gate[0]: 'a' is the only system, so it is the best",
        ),
        (MATRIX + "release: [large/steps]\ngate: [best: -1]\n", "gate[0].best.within: -1 is negative"),
        (
            f"matrix: {{n: {list(range(65))}}}\nsystem: {{command: [cat, '{{{{matrix.n}}}}']}}\n",
            "65 systems, at most 64 are run together",
        ),
        (
            f"matrix: {{n: {list(range(200))}, m: {list(range(200))}}}\n"
            "system: {command: [cat, '{{matrix.n}}', '{{matrix.m}}']}\n",
            "40,000 combinations, at most 10,000 are read",
        ),
    ],
)
def test_each_mistake_is_a_problem_with_its_place(text, message, read):
    """All are reported before the run."""
    found = problems(read, text)
    assert [each for each in found if message in each and each.startswith("suite.yaml:")], found


def test_a_problem_of_the_template_is_reported_once(read):
    """Not once for each combination."""
    found = problems(read, MATRIX.replace("system: {", "system: {retries: 99, "))
    assert 1 == len(found), found


def test_the_gate_applies_to_released_systems(read):
    """The others are only compared; alpha is shared, and the reference is the baseline and can be asked."""
    suite = read(MATRIX + "release: [large/short, large/steps]\ngate: [pass_rate: 0.5, no_regression]\n")
    released, other = alone(suite, "large/steps"), alone(suite, "small/steps")
    assert (REFERENCE, 2, True) == (
        released.policy.checks[1].baseline,
        released.policy.n_deciding,
        released.policy.escalates,
    )
    assert released.baseline_system == suite.reference.config
    assert not other.policy.can_block
    assert other.baseline_system is None
    assert ((), "large/steps") == (released.systems, released.system_name)


def test_a_named_baseline_stays(read):
    """Only a `no_regression` without one means the reference."""
    suite = read(MATRIX + "release: [large/short]\ngate: [no_regression: main]\n")
    assert not suite.compares_reference
    assert "main" == alone(suite, "large/short").policy.checks[0].baseline


def test_the_schema_reads_it(read, tmp_path):
    """As `evalkit check` does: placeholders stand for numbers, and `system` may be missing."""
    import jsonschema
    import yaml

    from evalkit.suite.schema import suite_schema

    validator = jsonschema.Draft202012Validator(suite_schema())
    sound = [
        MATRIX + "release: [large/short]\n",
        'matrix: {t: [0, 0.5]}\nsystem: {chat: m, base_url: "http://h/v1", temperature: "{{matrix.t}}"}\n',
        "systems: {a: {command: [cat], concurrency: 2}}\n",
    ]
    for text in sound:
        read(text)
        assert [] == list(validator.iter_errors(yaml.safe_load(HEAD + text)))
    for text in ("", "matrix: {model: [a]}\n", "systems: {a: {comand: [cat]}}\n"):
        assert list(validator.iter_errors(yaml.safe_load(HEAD + text)))


def test_secrets_in_systems_are_found(read):
    """Under `systems:` as under `system:`; a key's variable in a matrix is kept secret."""
    found = problems(
        read, 'systems: {a: {http: "http://h", headers: {Authorization: "Bearer sk-abcdefghijklmnopqrst"}}}\n'
    )
    assert any("a secret is written into the suite" in each for each in found)
    suite = read(
        'matrix: {k: [A_KEY, B_KEY]}\nsystem: {chat: m, base_url: "http://h/v1", api_key_env: "{{matrix.k}}"}\n'
    )
    assert {"A_KEY", "B_KEY"} <= set(suite.variables)


def test_the_rules_of_a_system_are_those_of_a_plain_suite(read):
    """The base's options are those of the same system; without a name, of the first that is released."""
    suite = read(MATRIX + "release: [large/short]\n")
    own = alone(suite, "small/steps")
    rules = rules_of(own)
    assert {"chat": "small", "prompt_file": "#" + hashlib.sha256(b"prompts/steps.md").hexdigest()[:8]} == {
        key: rules.system[key] for key in ("chat", "prompt_file")
    }
    assert ("large/short",) == rules.release
    text = (HEAD + MATRIX + "release: [large/short]\n").encode()
    assert own.options.system == options_of_text(text, "suite.yaml", own).system
    plain = read('system: {chat: large, base_url: "http://127.0.0.1:9/v1"}\n')
    assert "prompts/short.md" == options_of_text(text, "suite.yaml", plain).system["prompt_file"]


def test_a_system_that_is_no_longer_gated_is_a_finding(read):
    """As is another reference; a system more under `release:` does not make passing easier."""
    many = {name: rules_of(alone(read(MATRIX + text), "large/steps")) for name, text in RELEASES.items()}
    found = {each.what: each for each in amendments(many["both"], many["none"])}
    assert ("large/short, large/steps", "none", True) == (
        found["release"].before,
        found["release"].after,
        found["release"].loosens,
    )
    assert not next(each for each in amendments(many["one"], many["both"]) if each.what == "release").loosens
    assert next(each for each in amendments(many["one"], many["other"]) if each.what == "reference").loosens


def test_fewer_systems_or_another_metric_loosen_the_gate_that_compares_them_all(read):
    """Without that gate, they are none of its business; more systems do not make passing easier."""
    more = "release: [large/steps]\ngate: [{best: {within: 0.02}}]\n"
    rules = rules_of(alone(read(MATRIX + more), "large/steps"))
    fewer = rules_of(
        alone(
            read(MATRIX.replace("system:", "  exclude: [{model: small, prompt: prompts/steps.md}]\nsystem:") + more),
            "large/steps",
        )
    )
    found = {each.what: each for each in amendments(rules, fewer)}
    assert ("small/short, small/steps, large/short, large/steps", True) == (
        found["systems"].before,
        found["systems"].loosens,
    )
    assert not [each for each in amendments(fewer, rules) if each.what == "systems"]
    other = rules_of(alone(read(MATRIX + more + "primary: exact\n"), "large/steps"))
    assert ["primary"] == [each.what for each in amendments(rules, other) if each.loosens]
    wider = rules_of(alone(read(MATRIX + more.replace("0.02", "0.05")), "large/steps"))
    assert ["gate best.within"] == [each.what for each in amendments(rules, wider) if each.loosens]
    plain = more.replace("best: {within: 0.02}", "pass_rate: {min: 0.5}")
    ours, theirs = (
        rules_of(alone(read(text + plain), "large/steps")) for text in (MATRIX, MATRIX + "primary: exact\n")
    )
    assert [] == [each for each in amendments(ours, theirs) if each.loosens]


RELEASES = {
    "none": "",
    "one": "release: [large/steps]\n",
    "both": "release: [large/short, large/steps]\n",
    "other": "release: [large/steps]\nreference: small/steps\n",
}
