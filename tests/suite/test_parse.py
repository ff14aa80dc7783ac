"""Suite files: the three spellings of a scorer, and every fault with its place and fix."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.formats.yaml_text import parse
from evalkit.suite.model import Suite
from evalkit.suite.parse import load_suite
from evalkit.types import Case

GOOD = """\
name: s
golden: cases.jsonl
system: {python: "bot:answer"}
scorers: [exact]
gate:
  - pass_rate: {min: 0.5}
"""


def load(tmp_path: Path, text: str) -> Suite:
    """Read a suite text beside a small golden set."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "cases.jsonl").write_text('{"id": "a", "input": "q", "reference": "r"}\n', encoding="utf-8")
    file = tmp_path / "suite.yaml"
    file.write_text(text, encoding="utf-8")
    return load_suite(file, "suite.yaml")


def said(tmp_path: Path, text: str) -> str:
    """What is wrong with a suite text."""
    with pytest.raises(InputError) as raised:
        load(tmp_path, text)
    return str(raised.value)


def changed(line: str, by: str) -> str:
    """The good suite with one line replaced."""
    assert line in GOOD
    return GOOD.replace(line, by)


def test_a_scorer_has_three_spellings(tmp_path: Path) -> None:
    """`name`, `name: value` and `name: {options}`; `not_`, `when` and `advisory` go with each."""
    scorers = """scorers:
  - exact
  - exact: numeric
  - exact: {name: third, mode: text, advisory: true, when: {kind: [golden, canary], domain: aml, has: reference}}
  - not_contains: {any: [sorry]}
"""
    suite = load(tmp_path, changed("scorers: [exact]\n", scorers))
    plain, value, options, negated = suite.scorers
    assert [entry.options.mode for entry in (plain, value, options)] == ["text", "numeric", "text"]
    assert options.advisory
    assert options.when is not None
    fitting = Case(id="a", input="q", reference=("r",), cohorts={"domain": "aml"})
    assert options.when.matches(fitting)
    assert not options.when.matches(Case(id="a", input="q", cohorts={"domain": "aml"}))
    assert not options.when.matches(Case(id="a", input="q", reference=("r",), cohorts={"domain": "tax"}))
    assert negated.negated
    assert negated.options.name == "not_contains"


FAULTS = {
    "a key of the request": (
        changed('{python: "bot:answer"}', '{chat: m, base_url: "http://127.0.0.1:9/v1", seed: 1}'),
        "suite.yaml:3:54 system.seed: unknown key; if the endpoint takes it, write `parameters: {seed: ...}`; else "
        "choose from api_key_env,",
    ),
    "unknown key": (changed("name: s", "nmae: s"), "suite.yaml:1:1 nmae: unknown key; did you mean `name`?"),
    "missing key": (changed("name: s\n", ""), "name: missing; add `name:`"),
    "wrong type": (changed("name: s", "name: [s]"), "suite.yaml:1:1 name: expected text, got a list of 1"),
    "number for text": (changed("name: s", "name: 1.10"), 'name: expected text, got 1.1; put it in quotes: "1.1"'),
    "no as word": (changed("name: s", "name: no"), "YAML reads `no` as true or false"),
    "base 60": (changed("name: s", "name: 12:30"), "YAML reads `12:30` as a base-60 number"),
    "octal": (changed("name: s", "name: 0123"), "YAML reads `0123` as an octal number"),
    "nan": (changed("min: 0.5", "min: .nan"), "`.nan` is not a finite number"),
    "comma number": (changed("min: 0.5", 'min: "0,9"'), "expected a number, got '0,9'; write 0.9"),
    "repeated key": (GOOD + "name: t\n", "suite.yaml:7:1 name: repeats the key of line 1; keep one of the two"),
    "tab": (changed("  - pass_rate", "\t- pass_rate"), "a tab where YAML needs spaces; indent with spaces"),
    "open quote": (changed("name: s", 'name: "s'), "suite.yaml:"),
    "list": ("- a\n", "the top level is not a mapping"),
    "two documents": (GOOD + "---\nname: t\n", "suite.yaml:7:1"),
    "empty": ("", "the file is empty"),
    "alias": (changed("name: s", "name: &n s"), "anchors (&name) and aliases (*name) are refused"),
    "tag": (changed("name: s", "name: !!python/object:os.system x"), "is refused; write plain values"),
    "deep": (changed("name: s", "name: " + "[" * 60 + "]" * 60), "nested deeper than 50 levels"),
    "scorer of a package": (
        changed("[exact]", "[acme.tone]"),
        "no scorer called 'acme.tone'; install the package that brings it, or choose from",
    ),
    "unknown scorer": (changed("[exact]", "[exakt]"), "no scorer called 'exakt'; did you mean `exact`?"),
    "scorer of both libraries": (
        changed("[exact]", "[faithfulness]"),
        "'faithfulness'; write `ragas: {use: [faithfulness]}` or `deepeval: {use: [faithfulness]}`",
    ),
    "scorer as reports name it": (
        changed("[exact]", "[ragas.context_recall]"),
        "'ragas.context_recall'; write `ragas: {use: [context_recall]}`",
    ),
    "scorer of a library that is named": (
        changed("[exact]", "[deepeval.faithfulness]"),
        "'deepeval.faithfulness'; write `deepeval: {use: [faithfulness]}`",
    ),
    "scorer as others name it": (changed("[exact]", "[llm-rubric]"), "'llm-rubric'; here it is `judge`"),
    "unknown option": (
        changed("[exact]", "[exact: {moode: text}]"),
        "scorers[0].exact.moode: unknown key; did you mean `mode`?",
    ),
    "bad option": (changed("[exact]", "[exact: {mode: roman}]"), "expected one of text, numeric, got 'roman'"),
    "bad pattern": (changed("[exact]", "[regex: '(a']"), "suite.yaml:4:11 scorers[0].regex"),
    "look-around": (changed("[exact]", "[regex: '(?=a)']"), "scorers[0].regex"),
    "no scorers": (changed("[exact]", "[]"), "scorers: the list is empty; add one"),
    "two systems": (changed('{python: "bot:answer"}', "{python: 'b:a', http: 'http://x'}"), "system: expected one of"),
    "no system": (changed('{python: "bot:answer"}', "{}"), "system: expected one of"),
    "timeout words": (
        changed('"bot:answer"}', '"bot:answer", timeout_s: 5 minutes}'),
        "expected a number, got '5 minutes'",
    ),
    "timeout 0": (changed('"bot:answer"}', '"bot:answer", timeout_s: 0}'), "system.timeout_s"),
    "concurrency": (GOOD + "concurrency: 0\n", "suite.yaml:7:1 concurrency: expected 1 to 1000, got 0"),
    "version": (GOOD + "version: 9\n", "version: this evalkit reads version 1, not 9; upgrade evalkit"),
    "golden missing": (
        changed("cases.jsonl", "case.jsonl"),
        "golden: no file 'case.jsonl'; did you mean `cases.jsonl`?",
    ),
    "golden outside": (changed("cases.jsonl", "../../etc/passwd"), "leaves the project"),
    "golden nul": (changed("cases.jsonl", '"a\\0b"'), "a path with NUL or backslash"),
    "gate min over max": (changed("{min: 0.5}", "{min: 0.9, max: 0.5}"), "gate[0].pass_rate.min: 0.9 is above max 0.5"),
    "gate without limit": (changed("{min: 0.5}", "{}"), "gate[0].pass_rate.min"),
    "canary rule": (changed("pass_rate: {min: 0.5}", "canary: {rule: 1 of 9}"), "expected one of 2 of 3, strict"),
    "judge": (GOOD + "judge: {local: taste}\n", "judge.local: no local judge 'taste'"),
    "floor of no cohort": (
        GOOD + "kappa_floors: {topic=fees: 0.7}\n",
        "kappa_floors: 'topic=fees' is not a cohort of the suite",
    ),
    "floor of a bare name": (GOOD + "kappa_floors: {kind: 0.7}\ncohorts: [kind]\n", "'kind' is not a cohort"),
    "two judges": (GOOD + "judge: {}\n", "judge: names no judge or several"),
    "rubric of local": (
        changed("[exact]", "[judge: {rubric: r.md}]") + "judge: {local: correctness}\n",
        "scorers[0].judge.rubric: the local judge reads no rubric",
    ),
    "literal key": (
        GOOD + "judge: {chat: {model: m, base_url: 'http://x/v1', api_key_env: 'sk-abc'}}\n",
        "judge.chat.api_key_env: not the name of an environment variable",
    ),
    "when": (changed("[exact]", "[exact: {when: golden}]"), "scorers[0].exact.when: expected a mapping"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_with_place_and_fix(tmp_path: Path, name: str) -> None:
    """Where, what, and how to fix it."""
    text, expected = FAULTS[name]
    message = said(tmp_path, text)
    assert message.startswith("suite.yaml")
    assert expected in message
    assert "sk-abc" not in message


def test_faults_are_told_together(tmp_path: Path) -> None:
    """One reading names them all."""
    text = GOOD.replace("[exact]", "[exakt, regex: '(a']").replace("min: 0.5", "mim: 0.5").replace("cases", "case")
    message = said(tmp_path, text)
    for part in ("'exakt'", "scorers[1].regex", "mim", "'case.jsonl'"):
        assert part in message


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"\xff\xfea\x00", "UTF-16 text; save the file as UTF-8", id="utf-16"),
        pytest.param(b"name: \xff", r"not UTF-8 \(byte 0xff at 7\)", id="latin-1"),
        pytest.param(b"#" * ((1 << 20) + 1), "more than 1 MiB", id="size"),
    ],
)
def test_bytes_that_are_no_suite(data: bytes, expected: str) -> None:
    """Encoding and size are checked first."""
    with pytest.raises(InputError, match=expected):
        parse(data, "suite.yaml")


def test_an_alias_bomb_costs_nothing() -> None:
    """The first anchor ends the reading."""
    bomb = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(40))
    with pytest.raises(InputError, match="refused"):
        parse(bomb.encode(), "suite.yaml")


@given(st.text(max_size=60))
def test_any_text_is_read_or_named(text: str) -> None:
    """Reading ends with a mapping or an input error."""
    try:
        document = parse(text.encode("utf-8", "surrogatepass"), "s")
    except InputError as error:
        assert error.problems
    else:
        assert isinstance(document.value, dict)


@pytest.mark.parametrize("name", ["compliance.yaml", "compliance-regressed.yaml"])
def test_the_suites_of_the_project_are_sound(name: str) -> None:
    """They read without a problem."""
    assert load_suite(Path(__file__).parents[2] / "suites" / name).scorers
