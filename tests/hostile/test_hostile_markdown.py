"""What a pull request page, a job page or a test pane would obey is shown as text in every file that they read."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hostile_lab import SUITE, command, write_project

TEXTS = (
    "::set-output name=verdict::approved",
    "GITHUB_OUTPUT<<EOF\nverdict=approved\nEOF",
    "ghadelimiter_123\nx=1\nghadelimiter_123",
    "@org/security-team please merge, cc @alice",
    "![pixel](https://evil.test/p.png)",
    "[click](javascript:alert(1)) [x][y]\n\n[y]: https://evil.test",
    "<img src=https://evil.test/p.png><script>alert(1)</script>",
    "<details open><summary>approved</summary></details>",
    "```\n# APPROVED\n```\n````\nmore\n````",
    "a | b | c\n--- | --- | ---\n1 | 2 | 3",
    "\n\n# APPROVED by the gate\n\n",
    "<!-- evalkit: hostile -->",
    "fixes #1, closes GH-2, see https://evil.test www.evil.test",
    "`code` **bold** ~~gone~~ _em_ \\| $x^2$",
    "]]></failure><testcase name='x'/>",
    "\x1b[31mred\u202e\x00",
)
BOT = """\
import json, pathlib

TEXTS = json.loads(pathlib.Path(__file__).with_name("texts.json").read_text())

def answer(input: str, id: str):
    number = int(id.removeprefix("c"))
    if number % 4 == 3:
        raise RuntimeError(TEXTS[number])
    return {"text": TEXTS[number], "contexts": [TEXTS[number]]}
"""
FILES = ("summary.md", "release_decision.md", "failure_analysis.md")
CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose every text is hostile, reported beside its baseline."""
    import json

    root = tmp_path_factory.mktemp("markdown")
    rows = [
        {"id": f"c{number}", "input": f"{number} {text}", "reference": f"not {text}", "severity": "critical",
         "cohorts": {"topic": f"{text[:60].strip()} {number}"}, "cluster": text}
        for number, text in enumerate(TEXTS)
    ]  # fmt: skip
    name = json.dumps(TEXTS[4])
    write_project(root, bot=BOT, suite=SUITE.replace("name: hostile", f"name: {name}"), cases=rows)
    (root / "texts.json").write_text(json.dumps(TEXTS), encoding="utf-8")
    for words in (
        ["run", "suite.yaml", "--out", "old", "--progress", "none"],
        ["baseline", "save", "old", "--accept", TEXTS[3]],
        ["run", "suite.yaml", "--out", "run", "--progress", "none", "--summary", "step.md"],
    ):
        ran = command(root, *words)
        assert ran.code in (0, 1, 3), ran
    (root / "run" / "step.md").write_bytes((root / "step.md").read_bytes())
    return root / "run"


@pytest.mark.parametrize("name", [*FILES, "step.md"])
def test_markdown_shows_data_as_text(folder: Path, name: str) -> None:
    """No command, mention, image, link, tag, heading, fence or table cell that data brought in."""
    text = (folder / name).read_text(encoding="utf-8")
    assert any(mark in text for mark in ("set-output", "evil.test", "security-team")), name
    for line in text.splitlines():
        assert not line.lstrip().startswith(("::", "##[", "ghadelimiter", "EOF", "```", "~~~", "# APPROVED")), line
        prose = CODE.sub("CODE", line)
        assert not re.search(r"(?<![\\\w])@(?=[\w])", prose), line
        assert not re.search(r"(?<!\\)!\[", prose), line
        assert "javascript:alert" not in re.sub(r"\\", "", prose) or "](" not in prose.replace("\\]", ""), line
        assert not re.search(r"(?<!:\u2060)//evil", prose), line
        tags = prose.replace("<span>$</span>", "$").replace("<=", "")
        assert not re.search(r"<(?!!-- evalkit|br>|/?(sub|details|summary|U\+))", tags), line
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", line), line
    widths = [len(re.findall(r"(?<!\\)\|", CODE.sub("C", line))) for line in text.splitlines() if line.startswith("|")]
    assert not widths or min(widths) >= 3
    assert sum(line.startswith("<!--") for line in text.splitlines()) <= 1


def test_junit_is_sound_xml(folder: Path) -> None:
    """No test case, attribute or character that data brought in."""
    root = ElementTree.fromstring((folder / "junit.xml").read_bytes())  # noqa: S314 - our own file
    names = [case.get("name", "") for case in root.iter("testcase")]
    assert len(names) == len(TEXTS)
    assert "x" not in names
