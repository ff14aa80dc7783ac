"""The 88 bad inputs that are told before the first call: what is spoilt, which command meets it, how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bad_lab import CASES, LABELS, SUITE, Lab, jsonl

CHECK = ("check", "suite.yaml")
HTTP = "{http: SERVER, body: {q: '{{input}}'}}"
CHAT_JUDGE = "judge: {chat: {model: big, base_url: SERVER}}"
LOCAL_JUDGE = "judge: {local: correctness}"
RULE = "  - judge: {name: correctness, advisory: true}"
BOT_LINE = '{python: "bot:answer", timeout_s: 60}'


@dataclass(frozen=True)
class Bad:
    """One bad input."""

    number: int
    title: str
    spoil: Callable[[Lab], object]
    words: tuple[str, ...] = CHECK
    code: int = 2
    """0 where the input is allowed and a warning names it."""
    because: str = ""
    """Why it ends otherwise than in exit 2."""
    said: str = ""
    """What the output of a run says of input that is not an error."""


def suite(old: str, new: str) -> Callable[[Lab], object]:
    """Replace a part of the suite."""
    return lambda lab: lab.swap("suite.yaml", old, new)


def text(content: str | bytes) -> Callable[[Lab], object]:
    """Another suite file."""
    return lambda lab: lab.write("suite.yaml", content)


def more(lines: str) -> Callable[[Lab], object]:
    """Lines after the end of the suite."""
    return lambda lab: lab.write("suite.yaml", SUITE + lines)


def option(lines: str) -> Callable[[Lab], object]:
    """A key before the gate."""
    return suite("gate:\n", lines + "\ngate:\n")


def system(value: str) -> Callable[[Lab], object]:
    """Another system under test."""
    return suite(BOT_LINE, value)


def judged(scorer: str, rubric: str = "") -> Callable[[Lab], object]:
    """A chat judge, with a rubric spoilt by replacing `old=>new`."""

    def spoil(lab: Lab) -> None:
        lab.swap("suite.yaml", LOCAL_JUDGE, CHAT_JUDGE)
        lab.swap("suite.yaml", RULE, f"  - judge: {scorer}")
        lab.write("labels.jsonl", "")
        if rubric:
            lab.swap("rubric.md", *rubric.split("=>"))

    return spoil


def row(line: int, content: str | bytes) -> Callable[[Lab], object]:
    """Another line of the golden set."""
    return lambda lab: lab.lines("cases.jsonl", {line: content})


def cell(line: int, **changes: Any) -> Callable[[Lab], object]:
    """Fields of one golden row; `...` takes one away."""
    kept = {key: value for key, value in {**CASES[line - 1], **changes}.items() if value is not ...}
    return row(line, json.dumps(kept))


def golden(content: str | bytes) -> Callable[[Lab], object]:
    """Another golden set."""
    return lambda lab: lab.write("cases.jsonl", content)


def label(line: int, **changes: Any) -> Callable[[Lab], object]:
    """Fields of one label."""
    return lambda lab: lab.lines("labels.jsonl", {line: json.dumps({**LABELS[line - 1], **changes})})


def both(*spoils: Callable[[Lab], object]) -> Callable[[Lab], object]:
    """One after the other."""
    return lambda lab: [spoil(lab) for spoil in spoils]


def outside(lab: Lab) -> None:
    """A golden set that is a link to a file outside the project."""
    (lab.root.parent / "outside.jsonl").write_text(jsonl(CASES), encoding="utf-8")
    (lab.root / "cases.jsonl").unlink()
    (lab.root / "cases.jsonl").symlink_to(lab.root.parent / "outside.jsonl")


def other_scores(lab: Lab) -> None:
    """A baseline whose scorer had other options."""
    lab.baseline()
    lab.swap("suite.yaml", "  - exact\n", "  - exact: {ignore_case: true}\n")


def other_cases(lab: Lab) -> None:
    """A baseline of another golden set."""
    lab.baseline()
    lab.write("cases.jsonl", jsonl([{**each, "input": f"{each['input']} Really?"} for each in CASES]))


def fewer_cases(lab: Lab) -> None:
    """A baseline with one case more than the golden set has now."""
    lab.baseline()
    lab.write("cases.jsonl", jsonl(CASES[:3]))
    lab.write("labels.jsonl", jsonl(LABELS[:3]))


def trained(lab: Lab) -> None:
    """Training rows that ask two of the cases, in other letters and with other spaces."""
    asked = ["What is yours?", f"what IS  the\ncapital of {CASES[2]['input'].split('of ')[1]}", CASES[1]["input"]]
    lab.write("t.jsonl", jsonl([{"question": each, "answer": "x"} for each in asked]))
    lab.swap("suite.yaml", "golden: cases.jsonl", "golden: {path: cases.jsonl, trained_on: [t.jsonl]}")


def changing(lab: Lab) -> None:
    """A system that changes the golden set while it is asked."""
    spoiling = "pathlib.Path(__file__).with_name('cases.jsonl').write_text('{}')"
    waiting = "__import__('time').sleep(0.3)"  # until the next case was read
    lab.swap("bot.py", "    return", f"    {waiting}\n    {spoiling}\n    return")
    lab.swap("suite.yaml", "concurrency: 2", "concurrency: 1")
    lab.write("cases.jsonl", jsonl([{**each, "notes": "x" * 50_000} for each in CASES]))  # more than one read takes


def full(lab: Lab) -> None:
    """A folder that holds something."""
    lab.write("full/note.txt", "mine")


RUN = ("run", "suite.yaml", "--progress", "none", "--no-report", "--out", "run")
SUITES = (
    Bad(1, "a suite that is not there", lambda lab: None, ("check", "siute.yaml")),
    Bad(2, "a folder as suite", lambda lab: lab.write("suites/x.yaml", ""), ("check", "suites")),
    Bad(3, "an empty suite", text("")),
    Bad(4, "a tab as indentation", suite("  - exact\n", "\t- exact\n")),
    Bad(5, "an open quote", suite("name: capitals", 'name: "capitals')),
    Bad(6, "a key twice", more("seed: 8\n")),
    Bad(7, "a list as suite", text("- name: x\n")),
    Bad(8, "two documents", more("---\nname: second\n")),
    Bad(9, "an unknown key", suite("concurrency: 2", "concurency: 2")),
    Bad(10, "a required key left out", suite('system: {python: "bot:answer", timeout_s: 60}\n', "")),
    Bad(11, "a value of the wrong type", suite("cohorts: [topic]", "cohorts: {topic: 1}")),
    Bad(12, "words that YAML reads as true or false", both(suite("capitals", "no"), suite("[topic]", "[topic, on]"))),
    Bad(
        13,
        "numbers that YAML reads otherwise",
        both(suite("capitals", "1.10"), suite("seed: 7", "seed: 0123"), suite("repeat: 1", "repeat: 12:30")),
    ),
    Bad(14, "a threshold that is not a number", both(suite("min: 0.3", "min: .nan"), suite("max: 3", "max: .inf"))),
    Bad(15, "a threshold off the scale", suite("min: 0.3", "min: 90")),
    Bad(16, "a negative tolerance", suite("{baseline: main}", "{baseline: main, margin: -0.02}")),
    Bad(17, "a lower limit above the upper one", suite("min: 0.3", "min: 0.9, max: 0.5")),
    Bad(18, "a gate on an unknown metric", suite("latency_p95_s:", "exakt:")),
    Bad(19, "a gate on an unknown cohort", suite("by: topic", "by: topik")),
    Bad(
        20,
        "no gate at all",
        text(SUITE.partition("gate:")[0]),
        code=0,
        because="allowed: people measure first and set limits later; the run ends in no decision, and says why",
    ),
    Bad(21, "no scorer", text(SUITE.partition("scorers:")[0] + "scorers: []\ngate:\n  - latency_p95_s: {max: 3}\n")),
    Bad(22, "two scorers of one name", suite("  - exact\n", "  - exact\n  - exact: numeric\n")),
    Bad(23, "an unknown scorer", suite("  - exact\n", "  - exat\n")),
    Bad(24, "a pattern that does not compile", suite(r"'\w+'", r"'(\w+'")),
    Bad(25, "a pattern beyond the linear engine", suite(r"'\w+'", r"'(?=x)\w+\1'")),
    Bad(26, "a variable that is not set", system("{http: 'SERVER/${NOT_SET_HERE}'}")),
    Bad(27, "a key written into the suite", system("{http: SERVER, headers: {X-Api-Key: sk-canary0123456789abcdef}}")),
    Bad(28, "a variable where none is filled in", suite("golden: cases.jsonl", "golden: '${FOLDER}/cases.jsonl'")),
    Bad(29, "an unknown placeholder", system("{http: SERVER, body: {q: '{{anwser}}'}}")),
    Bad(30, "a rubric that never names the answer", judged("rubric.md", "{{answer}}=>the answer")),
    Bad(31, "a scale of one level", judged("rubric.md", "[1, 5]=>[5, 5]")),
    Bad(
        32,
        "a judge that is the system under test",
        both(judged("rubric.md"), system("{chat: Big, base_url: SERVER}")),
        code=0,
        because="allowed: a team may have one model only; agreement with people decides what the judge may do",
    ),
    Bad(33, "a tag of Python", suite("name: capitals", "name: !!python/object/apply:os.system [id]")),
    Bad(34, "anchors and aliases", suite("name: capitals", "name: &a capitals\ndescription: *a")),
    Bad(35, "nesting beyond 50 levels", suite("name: capitals", "name: " + "[" * 500 + "]" * 500)),
    Bad(36, "a suite of more than 1 MiB", more("# " + "x" * (1 << 20) + "\n")),
    Bad(37, "a suite that is not UTF-8", text(SUITE.encode().replace(b"capitals", b"capit\xe4ls"))),
    Bad(38, "a suite in UTF-16", text(SUITE.encode("utf-16"))),
    Bad(39, "no or endless concurrency", suite("concurrency: 2", "concurrency: 10000")),
    Bad(40, "a timeout in words", suite("timeout_s: 60", "timeout_s: 60 minutes")),
    Bad(41, "an address that is none", system("{http: 'ftp://host/x'}")),
    Bad(42, "a budget of nothing", option("budget_usd: 0")),
    Bad(43, "a baseline that is not there", suite("{baseline: main}", "{baseline: reports/gone}")),
    Bad(44, "a baseline that was scored differently", other_scores),
    Bad(45, "a suite of a later version", option("version: 2")),
)
DATA = (
    Bad(46, "an empty golden set", golden("")),
    Bad(47, "blank lines only", golden("\n  \n\n")),
    Bad(48, "a JSON array", golden(json.dumps(CASES))),
    Bad(49, "a line cut in the middle", row(2, json.dumps(CASES[1])[:60])),
    Bad(50, "a comma too many", row(2, '{"id": "c1", "input": "q",}')),
    Bad(51, "single quotes", row(2, "{'id': 'c1', 'input': 'q'}")),
    Bad(52, "NaN", row(2, '{"id": "c1", "input": "q", "reference": "r", "weight": NaN}')),
    Bad(53, "a key twice in one row", row(2, '{"id": "c1", "input": "q", "input": "p"}')),
    Bad(54, "an id twice", cell(3, id="c0")),
    Bad(
        55,
        "ids that differ by form only",
        both(cell(1, id="1"), cell(2, id=1), cell(3, id="e\u0301"), cell(4, id=" é ")),
    ),
    Bad(56, "no id", cell(2, id=...)),
    Bad(57, "an id with a line break", cell(2, id="c\n1\u001b[2J")),
    Bad(58, "no input", cell(2, input=...)),
    Bad(59, "an empty input", both(cell(2, input=None), cell(3, input="  "))),
    Bad(60, "a field that the scorer cannot read", both(cell(2, required=5), cell(3, reference=42))),
    Bad(61, "one text as contexts", cell(2, contexts="Rome is the capital of Italy.")),
    Bad(62, "no cohort", cell(2, cohorts=...)),
    Bad(63, "a cohort in two spellings", cell(3, cohorts={"topic": "East"})),
    Bad(
        64,
        "a cohort of few cases",
        lambda lab: None,
        code=0,
        because="allowed: its interval is wide and says so; thirty cases are advice, not a rule",
    ),
    Bad(65, "bytes that are not UTF-8", row(2, json.dumps(CASES[1]).encode().replace(b"Rome", b"R\xf6me", 1))),
    Bad(66, "half a character", row(2, '{"id": "c1", "input": "\\ud800 ?"}')),
    Bad(67, "a line of more than 8 MiB", row(2, '{"id": "c1", "input": "' + "x" * (8 << 20) + '"}')),
    Bad(68, "an integer of 5,000 digits", row(2, '{"id": "c1", "input": "q", "n": ' + "9" * 5000 + "}")),
    Bad(69, "an array nested 100,000 deep", row(2, '{"id": "c1", "x": ' + "[" * 100_000 + "]" * 100_000 + "}")),
    Bad(70, "a path out of the project", suite("cases.jsonl", "../../etc/passwd")),
    Bad(71, "a link out of the project", outside),
    Bad(72, "a golden set that changes during the run", changing, RUN),
    Bad(
        73,
        "two cases that ask the same and want something else",
        cell(3, input=CASES[0]["input"], contexts=CASES[0]["contexts"], reference="Lyon"),
        code=0,
        because="allowed: the context of a conversation may lie outside the row",
    ),
    Bad(
        74,
        "cases that stand in the declared training set",
        trained,
        code=0,
        because="allowed: only who trained it can tell which of the two to change",
    ),
)
OTHERS = (
    Bad(75, "a label of an unknown case", label(2, case_id="c11")),
    Bad(
        76,
        "a label of another answer",
        label(2, answer_sha256="0" * 64),
        RUN,
        code=0,
        because="only the answers of the run tell; it is left out, and counted",
        said="3 labels by people",
    ),
    Bad(77, "a label off the scale", label(2, label=5)),
    Bad(
        78,
        "a label between two levels",
        both(
            judged("{rubric: rubric.md, name: correctness}"),
            lambda lab: lab.write("labels.jsonl", jsonl(LABELS)),
            label(2, label=2.5),
        ),
    ),
    Bad(
        79,
        "two labels of one rater",
        lambda lab: lab.write("labels.jsonl", jsonl([*LABELS, {**LABELS[0], "label": "fail"}])),
    ),
    Bad(
        80,
        "labels of one kind only",
        lambda lab: None,
        RUN,
        code=0,
        because="kappa is undefined, never 1 or 0",
        said="kappa undefined: both raters use one and the same label",
    ),
    Bad(
        81,
        "fewer labels than agreement needs",
        lambda lab: None,
        RUN,
        code=0,
        because="figures are shown, trust is not",
        said="with 4 labels by people",
    ),
    Bad(82, "a label without a rater", label(2, rater="  ")),
    Bad(
        83,
        "a baseline with more cases",
        fewer_cases,
        RUN,
        code=3,
        because="removed cases are counted; below 90 % overlap there is no decision",
        said="1 case removed",
    ),
    Bad(84, "a cohort that no case has", lambda lab: None, (*RUN, "--cohort", "topic=north"), code=5),
    Bad(85, "a limit of 0", lambda lab: None, (*RUN, "--limit", "0")),
    Bad(86, "a foreign folder to resume", full, ("run", "suite.yaml", "--out", "full", "--resume")),
    Bad(87, "a folder that is not empty", full, ("run", "suite.yaml", "--out", "full")),
    Bad(88, "an unknown flag", lambda lab: None, (*RUN, "--concurency", "3")),
)
TABLE = (*SUITES, *DATA, *OTHERS)
ALSO = (
    Bad(
        74,
        "a training set that is none",
        both(
            lambda lab: lab.write("t.jsonl", '{"text": "x"}\n'),
            suite("golden: cases.jsonl", "golden: {path: cases.jsonl, trained_on: [t.jsonl]}"),
        ),
    ),
    Bad(43, "a baseline asked for by a flag", lambda lab: None, (*RUN, "--baseline", "mian")),
    Bad(
        44,
        "a baseline of other cases",
        other_cases,
        RUN,
        code=3,
        because="below 90 % overlap there is no decision",
        said="only 0 of 4 cases of the baseline are in this run",
    ),
)
"""Second readings of a number."""
