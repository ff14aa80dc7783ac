"""Cases that occur in prompts, few-shot files and corpora are found, with file, line and rule."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from evalkit.errors import InputError
from evalkit.golden.leak_sources import files_of, find_leaks, lines_of, n_left_out
from evalkit.golden.leakage import LeakIndex, Leaks, SourceKind
from evalkit.golden.read import open_golden
from evalkit.golden.source import GoldenSource
from evalkit.types import Case

LONG = "A customer asks on Friday evening whether the card that she lost in Lisbon can be blocked by phone"
ANSWER = "Yes, the card can be blocked day and night by phone, and a new one is sent within three days."
ROWS = [
    {"id": "short", "input": "Who pays the fee?", "reference": "The sender."},
    {"id": "long", "input": f"{LONG}?", "reference": ANSWER},
    {"id": "other", "input": "When must a bank report a suspicious transaction to the authority of its country?"},
    {"id": "word", "input": "Hello"},
]
CANARY = "evalkit-canary 6f0c2a4e-9b1d-4a53-8f7e-0c1d2e3f4a5b"


def search(
    folder: Path, name: str, text: str | bytes, source: SourceKind = "prompts", rows: list[dict[str, str]] = ROWS
) -> Leaks:
    """Search one file for a set."""
    golden = folder / "cases.jsonl"
    golden.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    opened = open_golden(GoldenSource(path="cases.jsonl"), golden, "cases.jsonl")
    return find_leaks(opened, {source: [file]}, folder, CANARY)


def facts(leaks: Leaks) -> list[tuple[str, str, str]]:
    """Case, rule and place."""
    return [(leak.case_id, leak.rule, leak.place) for leak in leaks.found]


def test_the_answer_of_a_copy_with_other_words_is_seen(tmp_path: Path) -> None:
    """A short answer stands right behind the copy, whether the copy is shorter or longer than the question."""
    rows = [{"id": "q", "input": LONG, "reference": "Yes"}]
    for copy in (LONG.replace("on Friday evening ", ""), LONG.replace("by phone", "at once and by phone")):
        (leak,) = search(tmp_path, "notes.txt", f"{copy}? Yes.", "corpus", rows).found
        assert (leak.rule, leak.with_answer) == ("most of the question", True), copy


FILES: list[tuple[str, str | bytes, int]] = [
    ("system.txt", "You help.\n\nwho pays  THE fee", 3),
    ("wrapped.md", "Intro\nsuch as: **who pays\nthe fee**, and more", 2),
    ("shots.yaml", "examples:\n  - question: >-\n      Who pays\n      the fee?\n", 3),
    ("shots.json", '[\n {"q": "First line.\\nWho pays the fee?"}\n]', 2),
    ("shots.jsonl", '{"q": "x"}\n{"q": "Who\\u0020pays the fee?"}\n', 2),
    ("prompt.py", 'SHOTS = [\n    "Who pays "\n    "the fee?",\n]\n', 2),
    ("page.html", "<p>who</p>\n<script>x</script><p>Who <b>pays</b> the&nbsp;fee?</p>", 2),
    ("page.unknown", "Who pays the fee", 1),
    ("packed.txt.gz", gzip.compress(b"\nWho pays the fee", mtime=0), 2),
    ("utf16.txt", "\ufeffHm.\nWho pays the fee".encode("utf-16-le"), 2),
]


@pytest.mark.parametrize(("name", "text", "line"), FILES, ids=[name for name, *_ in FILES])
def test_a_short_question_is_found_whole_in_every_kind_of_file(
    tmp_path: Path, name: str, text: str | bytes, line: int
) -> None:
    """Letter case, punctuation, tags, escapes and line ends do not matter; the line is that of the first word."""
    assert facts(search(tmp_path, name, text)) == [("short", "whole question", f"{name}:{line}")]


HIDDEN = {
    "soft hyphen.txt": "Who pa\u00adys the fee",
    "space without width.txt": "Who pa\u200bys the fee",
    "joiner.md": "Who pa\u2060ys\ufeff the f\u034fee\ufe0f",
    "filler.md": "Who pa\u3164ys the fe\u115fe",
    "direction.md": "Who \u202epays\u202c the \U000e0061fee",
    "cyrillic.txt": "Who \u0440ays th\u0435 fee",
    "capitals.txt": "WHO PAYS \u0422\u041d\u0415 FEE",
    "greek.txt": "Wh\u03bf pays the fee",
    "dotless.md": "Who pa\u0443s the f\u0435e",
    "entity.md": "Who pa&#121;s th&#x65; fee",
    "named.md": "Who pa&shy;ys&nbsp;the fee",
    "entities.json": '{"q": "Who pa&#121;s the fee"}',
    "hex.py": r'Q = "Who pa\x79s the fee"',
    "long.py": r'Q = "Who pa\U00000079s the fee"',
    "octal.py": r'Q = "Who pa\171s the fee"',
    "name.py": r'Q = "Who pa\N{LATIN SMALL LETTER Y}s the fee"',
    "hex.yaml": r'q: "Who pa\x79s the fee"',
    "none.py": r'Q = "\U00110000 \N{NO SUCH LETTER} \ud83d Who pays the fee"',
}


def test_no_letter_hides_a_question(tmp_path: Path) -> None:
    """Letters that nobody sees or that look like others, entities and escapes do not matter."""
    for name, text in HIDDEN.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    index = LeakIndex(open_golden_of(tmp_path))
    found = {
        name: [leak.rule for leak in index.search(lines_of(tmp_path / name, name), "prompts", name)] for name in HIDDEN
    }
    assert found == {name: ["whole question"] for name in HIDDEN}


UNSEEN = {
    "open script": "<p>x</p>\n<script>var a = 1;\n<p>Who <b>pays the fee",
    "open style": "\n<style>\np {} Who pays the fee </p>",
    "script": "\n\n<script type='application/ld+json'>{'q': 'Who p\\u0061ys the fee'}</script>",
    "open comment": "<p>x</p>\n\n<!-- Who pays the fee",
    "comment": "\n\n<p>Who <!-- x\ny --> is</p><!-- Who pays the fee -->",
    "inside": "\n\n<p>Who <!-- x --><script>y</script>pays the fee",
    "section": "\n\n<![CDATA[Who pays the fee]]>",
    "open attribute": "\n\n<img alt='Who pays the fee",
    "attribute": "\n\n<img alt='Who pays the fee'>",
}


def test_nothing_of_a_page_hides_a_question(tmp_path: Path) -> None:
    """Scripts, styles, comments and attributes are searched, with or without an end, and do not cut the text."""
    index = LeakIndex(open_golden_of(tmp_path))
    file = tmp_path / "page.html"
    for name, text in UNSEEN.items():
        file.write_text(text, encoding="utf-8")
        (leak,) = index.search(lines_of(file, "page.html"), "corpus", "page.html")
        line = 4 if name == "comment" else 3
        assert (leak.rule, leak.place) == ("whole question", f"page.html:{line}"), name


def test_letters_of_the_set_are_read_like_those_of_a_text(tmp_path: Path) -> None:
    """A question may hold look-alikes, entities and other scripts itself."""
    rows = [
        {"id": "ru", "input": "Кто платит Комиссию Банка?"},
        {"id": "html", "input": "What does &amp; or x&lt=3 stand for?"},
        {"id": "hid", "input": "Who p\u0430y\u00ads the fee?"},
    ]
    text = "кто платит комиссию банка\nWhat does &amp; or x&lt=3 stand for\nwho pays the fee"
    places = [(case_id, place) for case_id, _, place in facts(search(tmp_path, "p.txt", text, rows=rows))]
    assert places == [("ru", "p.txt:1"), ("html", "p.txt:2"), ("hid", "p.txt:3")]


def test_a_row_of_parquet_is_a_line(tmp_path: Path) -> None:
    """Every column of text is read."""
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    file = tmp_path / "docs.parquet"
    table = pyarrow.table({"n": [1, 2, 3], "passage": ["x", None, f"He wrote: {LONG}."]})
    parquet.write_table(table, file)
    found = search(tmp_path, "docs.parquet", file.read_bytes(), "corpus")
    assert facts(found) == [("long", "whole question", "docs.parquet:3")]


def test_most_of_a_question_is_enough(tmp_path: Path) -> None:
    """A question with a changed word is found with its share; half of it, or a short one with a changed word, not."""
    changed = LONG.replace("evening", "night")
    (leak,) = search(tmp_path, "p.txt", f"First.\nShe said: {changed}").found
    assert (leak.case_id, leak.rule, leak.place) == ("long", "most of the question", "p.txt:2")
    assert 0.6 <= leak.share < 0.7
    half = " ".join(LONG.split()[:9])
    assert not search(tmp_path, "p.txt", f"{half}. Who pays a fee? The fee is what the sender pays.").found


def test_thirteen_words_of_question_and_answer_are_a_leak(tmp_path: Path) -> None:
    """In a corpus only if the run begins in the question: a corpus is meant to hold answers."""
    words = f"{LONG} {ANSWER}".split()
    run = " ".join(words[12:26])
    assert facts(search(tmp_path, "p.txt", run)) == [("long", "13 words in a row", "p.txt:1")]
    assert facts(search(tmp_path, "p.txt", run, "corpus")) == [("long", "13 words in a row", "p.txt:1")]
    assert not search(tmp_path, "p.txt", ANSWER, "corpus").found


def test_an_answer_in_a_prompt_is_a_leak_and_beside_its_question_in_a_corpus(tmp_path: Path) -> None:
    """A short answer counts right behind its question only."""
    found = search(tmp_path, "p.txt", f"Rules.\n{ANSWER}").found
    assert {(leak.rule, leak.place) for leak in found} >= {("answer in prompt", "p.txt:2")}
    (both,) = search(tmp_path, "p.txt", f"{LONG}?\n\n{ANSWER}", "corpus").found
    (alone,) = search(tmp_path, "p.txt", f"{LONG}?\n\nNobody knows.", "corpus").found
    (behind,) = search(tmp_path, "p.txt", "Q: Who pays the fee?\nA: the sender", "corpus").found
    (before,) = search(tmp_path, "p.txt", "The sender asks: who pays the fee?", "corpus").found
    assert [each.with_answer for each in (both, alone, behind, before)] == [True, False, True, False]


def test_a_template_of_the_set_is_no_leak(tmp_path: Path) -> None:
    """Words that more than 20 cases share say nothing about one of them; the whole question still does."""
    frame = "You are given a question of a customer of the bank and answer it in one word only please"
    rows = [{"id": f"c{at}", "input": f"{frame}: {at} fee {at + 1} tax"} for at in range(30)]
    assert not search(tmp_path, "p.txt", f"{frame}.", rows=rows).found
    assert facts(search(tmp_path, "p.txt", f"{frame}. 7 fee 8 tax", rows=rows)) == [("c7", "whole question", "p.txt:1")]


def test_scripts_without_spaces_are_found(tmp_path: Path) -> None:
    """Each letter of Chinese or Thai counts as a word."""
    rows = [{"id": "zh", "input": "谁支付转账费用？"}, {"id": "th", "input": "ใครเป็นผู้จ่ายค่าธรรมเนียม"}]
    text = "背景\n例如：谁支付转账费用。然后\nเช่น ใครเป็นผู้จ่ายค่าธรรมเนียม ครับ"
    found = facts(search(tmp_path, "p.txt", text, rows=rows))
    assert found == [("zh", "whole question", "p.txt:2"), ("th", "whole question", "p.txt:3")]


def test_the_canary_string_is_found(tmp_path: Path) -> None:
    """Its finding names no case, and counts for none."""
    found = search(tmp_path, "docs.md", f"x\n# {CANARY.upper()}\n", "corpus")
    assert facts(found) == [("", "canary string", "docs.md:2")]
    assert found.cases_in("corpus") == ()


def test_one_word_is_not_searched_for(tmp_path: Path) -> None:
    """Such cases are counted."""
    found = search(tmp_path, "p.txt", "Hello")
    assert not found.found
    assert (found.n_short, found.n_cases) == (1, 4)


def test_a_question_across_two_pieces_of_a_long_text_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a piece of the text ends, the line is right and the finding is one."""
    index = LeakIndex(open_golden_of(tmp_path))
    monkeypatch.setattr("evalkit.golden.word_hashes._PIECE", 7)
    for before in range(12):
        lines = [*enumerate(["word"] * before, 1), (before + 1, "so: Who pays"), (before + 2, "the fee?")]
        lines += [(before + 3 + at, "more of it") for at in range(9)]
        assert [leak.place for leak in index.search(lines, "corpus", "d.md")] == [f"d.md:{before + 1}"]


def open_golden_of(folder: Path) -> list[Case]:
    """The cases of the set."""
    file = folder / "cases.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return list(open_golden(GoldenSource(path="cases.jsonl"), file, "cases.jsonl").open())


def test_files_are_named_by_path_folder_or_pattern(tmp_path: Path) -> None:
    """Of a folder, hidden files and other kinds are left out; what names nothing or leaves the project is a problem."""
    root = tmp_path / "project"
    for name in ("docs/a.md", "docs/deep/b.html", "docs/.git/c.md", "docs/d.pdf", "p1.txt", "p2.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x", encoding="utf-8")
    (tmp_path / "out.md").write_text("x", encoding="utf-8")
    problems: list[str] = []

    def named(pattern: str) -> list[str]:
        found = files_of(pattern, root, root, lambda what, fix: problems.append(what))
        return [file.relative_to(root).as_posix() for file in found]

    assert named("docs") == ["docs/a.md", "docs/deep/b.html"]
    assert named("p*.txt") == ["p1.txt", "p2.txt"]
    assert named("docs/d.pdf") == ["docs/d.pdf"]
    assert not problems
    assert (named("none*"), named("../out.md")) == ([], [])
    assert problems == ["no file 'none*' that can be searched", "'../out.md' leaves the project project/"]


def test_linked_folders_are_searched_once_and_inside_the_project(tmp_path: Path) -> None:
    """A circle ends; a link out of the project is a problem with its name, also where nothing in it would be read."""
    root = tmp_path / "project"
    for folder in (root / "docs/deep", root / "more", root / ".hidden", tmp_path / "out"):
        folder.mkdir(parents=True)
    for name in ("docs/a.md", "docs/deep/b.j2", "docs/deep/b.png", "more/c.prompty", ".hidden/d.md"):
        (root / name).write_text("x", encoding="utf-8")
    links = {"more": "../more", "deep/up": "..", "self": "self", "gone.md": "none.md", ".git": "../.hidden"}
    for name, target in links.items():
        (root / "docs" / name).symlink_to(target)
    problems: list[str] = []

    def named(pattern: str) -> list[str]:
        found = files_of(pattern, root, root, lambda what, fix: problems.append(what))
        return [file.relative_to(root).as_posix() for file in found]

    assert named("docs") == ["docs/a.md", "docs/deep/b.j2", "docs/none.md", "more/c.prompty"]
    assert n_left_out(["docs", "docs/d*", "docs/a.md"], root, root) == 2
    assert not problems
    (root / "docs/more/out").symlink_to(tmp_path / "out")
    named("docs")
    assert problems == ["'docs' leaves the project project/ by the link 'more/out'"]


def test_a_file_that_cannot_be_read_is_a_problem_or_listed(tmp_path: Path) -> None:
    """A prompt must be read; a corpus is searched on."""
    with pytest.raises(InputError, match=r"p\.txt:2: not UTF-8"):
        search(tmp_path, "p.txt", b"Hm.\n\xff\xfe\xfa")
    found = search(tmp_path, "p.txt", b"Hm.\n\xff\xfe\xfa", "corpus")
    assert found.unread == ("p.txt:2: not UTF-8; save the file as UTF-8",)


def test_a_line_of_many_megabytes_is_one_line(tmp_path: Path) -> None:
    """Wherever its pieces end, also inside a letter; the next line has the next number."""
    text = "é" * (5 << 20) + " who pays\nthe fee"
    assert facts(search(tmp_path, "p.txt", text, "corpus")) == [("short", "whole question", "p.txt:1")]
    assert facts(search(tmp_path, "p.txt", f"{'é' * (5 << 20)}\n{text[-16:]}")) == [
        ("short", "whole question", "p.txt:2")
    ]


def test_a_page_with_an_open_comment_takes_no_longer(tmp_path: Path) -> None:
    """Its text is not shown by a browser, and is not searched; the text before it is."""
    page = "<p>Who pays the fee</p>\n<!--" + "words of a comment\n" * 50_000
    assert facts(search(tmp_path, "p.html", page)) == [("short", "whole question", "p.html:1")]
