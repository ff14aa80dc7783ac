"""The rules of a suite as values: each part that a change may touch is one finding."""
# ruff: noqa: E501 - one line a change

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

from evalkit.formats.manifest import Rules
from evalkit.gate.amendments import amendments
from evalkit.golden.stored_lock import lock_name
from evalkit.suite.rules import options_of_text, rules_of_options

SUITE = """\
name: faq
golden: {path: cases.jsonl, trained_on: [train.jsonl]}
system: {http: "https://bot.example.org/answer", headers: {Authorization: "Bearer ${TOKEN}"}, timeout_s: 30}
judge: {chat: {model: large, base_url: "https://judge.example.org/v1", api_key_env: JUDGE_KEY}}
vendors:
  house: {base_url: "https://llm.example.org/v1", api_key_env: HOUSE_KEY}
embedding: wordllama
calibrations: [quality.json]
labels: [people.jsonl]
cohorts: [topic]
sample: {n: 500, by: topic}
seed: 3
traffic_per_month: 1000
budget_usd: 5
scorers:
  - keywords: {min_recall: 0.7}
  - similarity: 0.8
  - not_regex: {name: polite, pattern: rude}
  - length: {max: 200}
  - judge: {name: quality, rubric: rubric.md, scale: [1, 5], pass: 4}
  - leak: {advisory: true}
gate:
  - pass_rate: {min: 0.8}
"""
FILES = {"quality.json": b"{}", "people.jsonl": b"1\n2\n", "rubric.md": b"Be strict."}


def rules(text: str = SUITE, files: Mapping[str, bytes] = FILES) -> Rules:
    """The rules of a suite text beside some files."""

    def read(names: Collection[str]) -> Mapping[str, bytes]:
        return {name: files[name] for name in names if name in files}

    options = options_of_text(text.encode(), "suite.yaml")
    assert options is not None
    return rules_of_options(options, read)


@pytest.mark.parametrize(
    ("before", "after", "said", "loosens"),
    [
        ("model: large", "model: small", "judge chat[0].model large → small", True),
        ("https://judge", "https://mine", "judge chat[0].base_url https://judge.example.org/v1 → https://mine.example.org/v1", True),
        ("JUDGE_KEY}", "JUDGE_KEY, temperature: 1.0}", "judge chat[0].temperature not set → 1.0", True),
        ("JUDGE_KEY}", "JUDGE_KEY, seed: 7}", "judge chat[0].seed not set → 7", True),
        ("pass: 4", "pass: 2", "scorer quality pass 4 → 2", True),
        ("pass: 4", "pass: 5", "scorer quality pass 4 → 5", False),
        ("scale: [1, 5]", "scale: [1, 9]", "scorer quality scale 1, 5 → 1, 9", True),
        ("https://llm", "https://mine", "vendors house.base_url https://llm.example.org/v1 → https://mine.example.org/v1", True),
        ("HOUSE_KEY}", "HOUSE_KEY, dialect: anthropic}", "vendors house.dialect not set → anthropic", True),
        ("embedding: wordllama", "embedding: fastembed", "embedding model wordllama → fastembed", True),
        ("min_recall: 0.7", "min_recall: 0.2", "scorer keywords min_recall 0.7 → 0.2", True),
        ("min_recall: 0.7", "min_recall: 0.9", "scorer keywords min_recall 0.7 → 0.9", False),
        ("similarity: 0.8", "similarity: {min: 0.5}", "scorer similarity min 0.8 → 0.5", True),
        ("max: 200", "max: 900", "scorer length max 200 → 900", True),
        ("max: 200", "max: 100", "scorer length max 200 → 100", False),
        ("pattern: rude", "pattern: ruder", "scorer polite pattern rude → ruder", True),
        ("not_regex", "regex", "scorer polite kind not_regex → regex", True),
        ("advisory: true", "advisory: false", "scorer leak advisory true → not set", False),
        ("{max: 200}", "{max: 200, when: {topic: hours}}", "scorer length when.topic not set → hours", True),
        ("https://bot", "https://new", "system http https://bot.example.org/answer → https://new.example.org/answer", True),
        ("timeout_s: 30", "timeout_s: 90", "system timeout_s 30 → 90", True),
        ("timeout_s: 30", "timeout_s: 10", "system timeout_s 30 → 10", False),
        ("timeout_s: 30", "timeout_s: 30, version: v1", "system version not set → v1", True),
        ("n: 500", "n: 50", "sample n 500 → 50", True),
        ("n: 500", "n: 900", "sample n 500 → 900", False),
        ("seed: 3", "seed: 4", "seed 3 → 4", True),
        ("traffic_per_month: 1000", "traffic_per_month: 10", "traffic_per_month 1000 → 10", True),
        ("budget_usd: 5", "budget_usd: 1", "budget_usd 5.0 → 1.0", False),
        (", trained_on: [train.jsonl]", "", "golden trained_on #TRAIN → not set", True),
        ("path: cases.jsonl", "path: other.jsonl", "golden path cases.jsonl → other.jsonl", False),
        ("- pass_rate: {min: 0.8}", "- pass_rate: 0.5", "gate pass_rate.min 0.8 → 0.5", True),
        ("seed: 3", "seed: 3\nconcurrency: 1", "concurrency 16 → 1", True),
        ("name: faq", "name: faqs", "name faq → faqs", False),
    ],
)  # fmt: skip
def test_one_change_is_one_finding(before: str, after: str, said: str, loosens: bool) -> None:
    """The key with both values, and whether it lets more through."""
    assert before in SUITE
    found = amendments(rules(), rules(SUITE.replace(before, after, 1)))
    first, rest = said.partition(" #TRAIN")[0], "#TRAIN" in said
    assert [each.loosens for each in found] == [loosens]
    assert str(found[0]).startswith(first) if rest else str(found[0]) == said


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        ("rubric.md", b"Be kind.", "scorer quality file rubric.md"),
        ("quality.json", b'{"kappa": 1}', "calibrations quality.json"),
        ("people.jsonl", b"1\n3\n", "labels people.jsonl"),
    ],
)
def test_a_file_that_is_edited_under_its_name_is_a_finding(file: str, content: bytes, what: str) -> None:
    """Rubrics, calibrations and labels count by content."""
    found = amendments(rules(), rules(files={**FILES, file: content}))
    assert [(each.what, each.loosens) for each in found] == [(what, True)]


def test_vendors_that_an_earlier_version_did_not_store_are_not_compared() -> None:
    """A baseline that was saved before their rules were kept is decided as it was then."""
    assert amendments(replace(rules(), vendors=None), rules()) == ()
    assert next(each.what for each in amendments(replace(rules(), vendors={}), rules())) == "vendors house.api_key_env"


def test_two_ways_to_write_the_same_are_no_change() -> None:
    """Shorthand, written defaults and another order of keys."""
    again = SUITE.replace("similarity: 0.8", "similarity: {min: 0.8}").replace("{max: 200}", "{max: 200, name: length}")
    again = again.replace("JUDGE_KEY}", "JUDGE_KEY, max_retries: 6}").replace(
        "{advisory: true}", "{advisory: true, when: null}"
    )
    assert amendments(rules(), rules(again)) == ()


@pytest.mark.parametrize(
    "system",
    [
        '{http: "https://bot.example.org/answer?key=sesame"}',
        "{command: [./bot, --key, sesame]}",
        '{python: "bot:answer", arguments: {key: sesame, nested: {token: [sesame]}}}',
        '{chat: small, base_url: "https://x.example.org/v1", extra: {api_key: sesame}}',
    ],
)
def test_no_secret_of_a_system_stands_in_the_rules(system: str) -> None:
    """Addresses with a query, arguments of commands and of callables, and whatever else may be a key."""
    start, _, rest = SUITE.partition("system: ")
    assert "sesame" not in repr(rules(f"{start}system: {system}\n{rest.partition(chr(10))[2]}"))


def test_no_secret_stands_in_the_rules() -> None:
    """What is not known to be harmless is a fingerprint, also a password inside an address."""
    text = SUITE.replace("Bearer ${TOKEN}", "Bearer sesame").replace("https://bot", "https://me:sesame@bot")
    assert "sesame" not in repr(rules(text))
    found = amendments(rules(), rules(text))
    assert [each.what for each in found] == ["system headers.Authorization", "system http"]
    assert "sesame" not in repr(found)


def test_a_scorer_that_is_added_is_no_looser_rule() -> None:
    """One more vote can only fail more."""
    found = amendments(rules(), rules(SUITE.replace("  - leak", "  - exact\n  - leak")))
    assert [(each.what, each.loosens) for each in found] == [("scorer exact", False)]


def test_an_inline_rubric_is_a_rule() -> None:
    """An edit of the text is a change, which may let more through."""
    text = SUITE.replace("rubric: rubric.md, scale: [1, 5], pass: 4", 'rubric: "Is {{answer}} polite?"')
    (found,) = amendments(rules(text), rules(text.replace("polite?", "polite or short?")))
    assert found.what == "scorer quality rubric"
    assert found.loosens


def change(text: str, before: str, after: str) -> list[tuple[str, bool]]:
    """What is found where a text of the suite is replaced."""
    assert before in text
    return [(str(each), each.loosens) for each in amendments(rules(text), rules(text.replace(before, after, 1)))]


def test_fewer_calls_in_flight_are_looser() -> None:
    """A system answers faster when it is asked less at once, and two calls that get in each other's way never meet."""
    many = SUITE + "concurrency: 8\n"
    assert change(many, "concurrency: 8", "concurrency: 1") == [("concurrency 8 → 1", True)]
    assert change(many, "concurrency: 8", "concurrency: 9") == [("concurrency 8 → 9", False)]


def test_a_scorer_that_applies_to_other_cases_may_let_more_through() -> None:
    """With easy cases among those that count, the mean rises: `when` added, removed or changed."""
    narrow = SUITE.replace("{max: 200}", "{max: 200, when: {topic: hours}}")
    assert change(narrow, ", when: {topic: hours}", "") == [("scorer length when.topic hours → not set", True)]
    assert change(narrow, "hours", "[hours, prices]") == [("scorer length when.topic hours → hours, prices", True)]


@pytest.mark.parametrize(
    ("gate", "loosens"),
    [
        ("similarity.passed: {max: 0.05}", True),
        ("similarity: {max: 0.2, by: topic}", True),
        ("pass_rate: {max: 0.5}", True),
        ("similarity.passed: {min: 0.5}", False),
        ("similarity.passed: 0.5", False),
        ("length: {max: 5}", False),
    ],
)
def test_a_higher_pass_mark_is_looser_where_passes_are_held_below_a_limit(gate: str, loosens: bool) -> None:
    """A gate may want few answers to pass, such as those that repeat the question."""
    text = SUITE + f"  - {gate}\n"
    assert change(text, "similarity: 0.8", "similarity: 0.9") == [("scorer similarity min 0.8 → 0.9", loosens)]
    found = amendments(rules(text), rules(text.replace("  - leak", "  - exact\n  - leak")))
    assert [(each.what, each.loosens) for each in found] == [("scorer exact", gate.startswith("pass_rate"))]


@pytest.mark.parametrize(
    "name", ["shape.jsonschema", "my shape.json", "shape", "schéma.json", "a/b c/shape", "x" * 300]
)
def test_a_file_of_any_name_counts_by_content(name: str) -> None:
    """What a scorer reads is no matter of how it is called."""
    text = SUITE.replace("  - leak", f'  - json: {{name: shape, schema: "{name}"}}\n  - leak')
    found = amendments(rules(text, {**FILES, name: b"1"}), rules(text, {**FILES, name: b"2"}))
    assert [(each.what, each.loosens) for each in found] == [(f"scorer shape file {name}", True)]


def test_a_lock_that_is_gone_is_a_looser_rule_and_a_new_one_is_not() -> None:
    """Only whether there is a lock is a rule: its content changes with the cases, which are compared one by one."""
    locked = rules(files={**FILES, "cases.lock.json": b"{}"})
    (gone,) = amendments(locked, rules())
    assert (gone.what, gone.before, gone.after, gone.loosens) == ("golden lock", "kept", "not set", True)
    (new,) = amendments(rules(), locked)
    assert not new.loosens
    assert amendments(locked, rules(files={**FILES, "cases.lock.json": b"{ }"})) == ()
    table = SUITE.replace("cases.jsonl", "cases.csv")
    assert "lock" in locked.golden
    assert "lock" not in rules(table, {**FILES, "cases.lock.json": b"{}"}).golden


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("cases.jsonl", "cases.lock.json"),
        ("faq.v2.jsonl", "faq.v2.lock.json"),
        ("faq.v2.jsonl.gz", "faq.v2.lock.json"),
        ("cases", "cases.lock.json"),
    ],
)
def test_each_version_of_a_set_has_a_lock_of_its_own(name: str, lock: str) -> None:
    """`faq.v1.jsonl` and `faq.v2.jsonl` may lie in one folder."""
    assert lock_name(name) == lock
