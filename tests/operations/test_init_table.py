"""`init_project` with a table of one's own: from the sheet to a gate."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import evalkit
from evalkit.cli.app import app
from evalkit.errors import InputError
from evalkit.golden.read import open_golden
from evalkit.operations.init_project import init_project
from evalkit.operations.table_suite import CaseTable

HEADER = ("Nr", "Frage", "Erwartete Antwort", "Stichwörter", "Thema", "Geprüft am")
ROWS = [
    (
        str(n),
        f"Was kostet Konto {n}?",
        f"Konto {n} kostet {n},80 € im Monat.",
        f"{n},80 €;Monat",
        "Gebühren" if n % 2 else "Konten",
        "",
    )
    for n in range(60)
]
BOT = """\
def answer(input: str) -> str:
    number = input.split()[-1].rstrip("?")
    return f"Konto {number} kostet {number},80 € im Monat."
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an empty folder; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / ".git").mkdir()
    return tmp_path


def write_csv(file: Path, encoding: str) -> None:
    """As German Excel does: semicolons, quotes where needed, lines with a carriage return."""
    lines = [";".join(f'"{cell}"' if ";" in cell else cell for cell in row) for row in (HEADER, *ROWS, ("",) * 6)]
    file.write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))


def write_xlsx(file: Path, *titles: str) -> None:
    """A workbook with one sheet, and further ones with a line of text."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (HEADER, *ROWS):
        book.active.append(row)
    book.active.title = "Fragen"
    for title in titles:
        book.create_sheet(title).append(["Stand: März"])
    book.save(file)


def commit(root: Path) -> None:
    """Commit everything as somebody."""
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "work"]):
        who = ["-c", "user.name=ana", "-c", "user.email=ana@example.test", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", root, *who, *words], check=True, capture_output=True)


def started(root: Path, name: str, **settings: str) -> str:
    """The suite that is written for a table."""
    return init_project(Path("evals"), CaseTable(file=Path(name), **settings)).suite.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("utf-8-sig", {}),
        ("cp1252", {"encoding": "cp1252"}),
        ("utf-8-sig", {"separator": ";"}),
        ("xlsx", {}),
        ("xlsx", {"sheet": "Fragen"}),
    ],
)
def test_a_sheet_becomes_a_gate(root: Path, kind: str, settings: dict[str, str]) -> None:
    """Written, filled in, committed, approved, saved, broken in one cohort, blocked with its name, and repaired."""
    name = "fragen.xlsx" if kind == "xlsx" else "fragen.csv"
    write_xlsx(root / name, *(["Übersicht"] if settings else [])) if kind == "xlsx" else write_csv(root / name, kind)
    text = started(root, name, **settings)
    assert "input: Frage" in text
    assert 'reference: "Erwartete Antwort"' in text
    text = text.replace("columns:", 'lists: ";", columns:')
    (root / "evals" / "suite.yaml").write_text(text, encoding="utf-8")
    bot = root / "evals" / "bot.py"
    assert evalkit.run("evals/suite.yaml", baseline="none").outcome == "no decision"
    bot.write_text(BOT, encoding="utf-8")
    commit(root)
    first = evalkit.run("evals/suite.yaml")
    assert first.outcome == "approved with conditions"
    assert first.summary is not None
    graded = {cell.metric: cell.n_unscored for cell in first.summary.cells if cell.cohort == "overall"}
    assert [graded[name] for name in ("keywords", "token_f1", "similarity")] == [0, 0, 0]
    saved = CliRunner().invoke(app, ["baseline", "save", "latest"])
    assert saved.exit_code == 0
    assert " as baseline main in reports/baselines/main\n" in saved.output, "paths as they are typed here"
    assert "commit it, so that other people and CI compare with it: git add reports/baselines/main\n" in saved.output
    commit(root)
    assert evalkit.run("evals/suite.yaml").outcome == "approved"
    broken = BOT.replace("    return", "    if int(number) % 2:\n        return 'Das weiß ich nicht.'\n    return")
    bot.write_text(broken, encoding="utf-8")
    blocked = evalkit.run("evals/suite.yaml")
    assert blocked.outcome == "blocked"
    assert blocked.decision is not None
    assert any("thema=Gebühren" in reason for reason in blocked.decision.reasons)
    bot.write_text(BOT, encoding="utf-8")
    assert evalkit.run("evals/suite.yaml").outcome == "approved"


def test_an_encoding_is_asked_for_with_the_command_to_copy(root: Path) -> None:
    """There is no suite yet, so the fix is a flag of the same command."""
    write_csv(root / "fragen.csv", "cp1252")
    with pytest.raises(InputError) as refused:
        started(root, "fragen.csv")
    assert "evalkit init evals --from fragen.csv --encoding cp1252" in refused.value.problems[0].fix
    assert not (root / "evals").exists()


@pytest.mark.parametrize("name", ["Fragen", "Übersicht", "März `25`", "a 'b' \"c\"", "€, 2 } #"])
def test_a_sheet_is_asked_for_with_the_command_to_copy(root: Path, name: str) -> None:
    """Two sheets with rows: nobody guesses, whatever letters and marks their names have."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = name
    for sheet in (book.active, book.create_sheet("Fragen 2")):
        sheet.append(HEADER)
        sheet.append(ROWS[0])
    book.save(root / "fragebögen.xlsx")
    with pytest.raises(InputError) as refused:
        started(root, "fragebögen.xlsx")
    words = shlex.split(refused.value.problems[0].fix.partition("such as `")[2].removesuffix("`"))
    assert words == ["evalkit", "init", "evals", "--from", "fragebögen.xlsx", "--sheet", name]
    assert "Fragen 2" in started(root, "fragebögen.xlsx", sheet="Fragen 2")


def test_the_sheet_with_the_most_rows_is_proposed(root: Path) -> None:
    """A cover sheet before it is not; who names that is told what it holds."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Stand"
    book.active.append(["März 2025"])
    sheet = book.create_sheet("Fragen")
    for row in (HEADER, *ROWS):
        sheet.append(row)
    book.save(root / "f.xlsx")
    with pytest.raises(InputError) as refused:
        started(root, "f.xlsx")
    assert "`evalkit init evals --from f.xlsx --sheet Fragen`" in refused.value.problems[0].fix
    with pytest.raises(InputError) as refused:
        started(root, "f.xlsx", sheet="Stand")
    assert str(refused.value) == (
        "f.xlsx: the sheet 'Stand' has no row below its header; write a header and one row for each case, "
        "or name another sheet"
    )


def test_columns_without_a_meaning_are_listed_with_the_way_to_use_one(root: Path) -> None:
    """Nothing of the table is left out in silence; words that an answer must or must not have are found by name."""
    header = ("Nr.", "Frage", "Erwartete Antwort", "Muss enthalten", "Darf nicht vorkommen", "Gewicht", "Geprüft am")
    row = ("1", "Was kostet es?", "9,80 €", "9,80 €", "kostenlos", "0,5", "01.11.2026")
    (root / "fragen.csv").write_text(f"{';'.join(header)}\n{';'.join(row)}\n", encoding="utf-8")
    ran = CliRunner().invoke(app, ["init", "evals", "--from", "fragen.csv"])
    assert ran.exit_code == 0
    said = "not used: Gewicht, Geprüft am; name one under `cohorts:` to report by it, or in `columns:` as a field "
    assert said in " ".join(ran.output.split())
    assert max(map(len, ran.output.splitlines())) <= 80
    text = (root / "evals" / "suite.yaml").read_text(encoding="utf-8")
    assert 'required: "Muss enthalten", forbidden: "Darf nicht vorkommen"' in text
    assert "- keywords" in text
    assert "not used" not in CliRunner().invoke(app, ["init", "other"]).output


@pytest.mark.parametrize(("name", "steps"), [("fragen.xlsx", 2), ("fragen.csv", 0)])
def test_the_workflow_installs_what_reads_a_workbook(root: Path, name: str, steps: int) -> None:
    """In both jobs that run the suite, before the action; other files need nothing."""
    write_xlsx(root / name) if steps else write_csv(root / name, "utf-8-sig")
    commit(root)
    started(root, name)
    jobs = yaml.safe_load((root / ".github" / "workflows" / "evalkit.yml").read_text(encoding="utf-8"))["jobs"]
    found = [
        [place for place, step in enumerate(job["steps"]) if step.get("run") == "python3 -m pip install 'openpyxl<4'"]
        for job in (jobs["gate"], jobs["baseline"])
    ]
    assert sum(map(len, found)) == steps
    assert all("/evalkit@" in jobs["gate"]["steps"][place + 1]["uses"] for place in found[0])
    assert "PACKAGES" not in (root / ".github" / "workflows" / "evalkit.yml").read_text(encoding="utf-8")


def test_stored_answers_are_replayed(root: Path) -> None:
    """A table that holds what a system said needs no system."""
    (root / "t.csv").write_text("question,expected answer,model answer\nq,a b,a b\n", encoding="utf-8")
    assert "system: {replay: golden}" in started(root, "t.csv")
    assert not (root / "evals" / "bot.py").exists()
    ended = evalkit.run("evals/suite.yaml")
    assert ended.summary is not None
    assert next(cell for cell in ended.summary.cells if cell.metric == "pass_rate").estimate.value == 1.0


def test_a_table_outside_of_the_project_is_refused(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A suite reads files of its project only."""
    file = tmp_path_factory.mktemp("elsewhere") / "t.csv"
    file.write_text("question,expected\nq,a\n", encoding="utf-8")
    with pytest.raises(InputError, match="outside the project"):
        init_project(Path("evals"), CaseTable(file=file))


def test_flags_of_a_table_need_one(root: Path) -> None:
    """`--sheet` alone says nothing."""
    ended = CliRunner().invoke(app, ["init", "evals", "--sheet", "A"])
    assert "name the table with --from FILE" in str(ended.exception)


def test_what_only_the_user_knows_is_said_in_the_suite(root: Path) -> None:
    """An `answer` may be a stored one; a cell that looks like a list is a warning with the line to copy."""
    (root / "t.csv").write_text("id,question,answer,keywords\n1,q,a,x; y\n2,r,b,z; w\n", encoding="utf-8")
    made = init_project(Path("evals"), CaseTable(file=Path("t.csv"))).made
    assert made is not None
    assert "# 'answer': it may hold the expected answer" in made.text
    assert any('lists: {required: ";"}' in doubt.fix for doubt in made.doubts), made.doubts


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("007.csv", "Question,Expected"),
        ("on.csv", "Question,Expected,Topic"),
        ("BOTS.csv", "Question,CHATBOT answer expected"),
        ("t.csv", "Question,Expected,Region [EU]"),
        ("t.csv", 'Question,Expected,"Topic, main"'),
        ("=1.csv", "Question,Expected"),
    ],
)
def test_names_of_files_and_columns_are_only_text(root: Path, name: str, header: str) -> None:
    """Whatever they hold, the suite that is written can be read."""
    (root / name).write_text(f"{header}\nq,a{',b' * (header.count(',') - 1 - ('main' in header))}\n", encoding="utf-8")
    init_project(Path("evals"), CaseTable(file=Path(name)))
    ended = CliRunner().invoke(app, ["check", "evals/suite.yaml"])
    assert ended.exit_code == 0, (ended.exception, (root / "evals" / "suite.yaml").read_text(encoding="utf-8"))


def test_a_title_above_the_header_is_named(root: Path) -> None:
    """A title is not the question."""
    (root / "t.csv").write_text("Export of 1 January,,\nquestion,expected,topic\nA?,B,c\n", encoding="utf-8")
    with pytest.raises(InputError, match="probably a title"):
        started(root, "t.csv")


@pytest.mark.parametrize(
    "text",
    [
        "Export of 1 January,,\nquestion,expected,topic\nA?,B,c\n",
        "Export of 1 January,2026,\nNr,Frage,Thema\n1,A?,c\n",
        "Fragen der Bank;;\nNr;Frage;Thema\n1;A?;c\n",
    ],
)
def test_titles_of_any_width_are_named(root: Path, text: str) -> None:
    """Cells beyond the last name show that the names are elsewhere."""
    (root / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="remove the rows above the header"):
        started(root, "t.csv")


def test_a_column_without_a_name_beside_a_sound_header_is_a_warning(root: Path) -> None:
    """It says nothing about the first row."""
    (root / "t.csv").write_text("Text,Soll,\nA?,B,note\n", encoding="utf-8")
    with pytest.raises(InputError, match="probably a title"):
        started(root, "t.csv")
    (root / "t.csv").write_text("Frage,Erwartet,\nA?,B,note\n", encoding="utf-8")
    assert "input: Frage" in started(root, "t.csv")


@pytest.mark.parametrize(("given", "written"), [(";", '";"'), ("tab", '"\\t"')])
def test_a_separator_is_a_flag(root: Path, given: str, written: str) -> None:
    """For a header that two separators would split; a tab has a name, as a shell cannot show one."""
    sign = {"tab": "\t"}.get(given, given)
    (root / "t.csv").write_text(f"Frage | Kunde{sign}Erwartet\nA?{sign}B\n", encoding="utf-8")
    with pytest.raises(InputError) as refused:
        started(root, "t.csv")
    assert f"`evalkit init evals --from t.csv --separator {given if given == 'tab' else repr(given)}`" in str(
        refused.value
    )
    ended = CliRunner().invoke(app, ["init", "evals", "--from", "t.csv", "--separator", given])
    assert ended.exit_code == 0, ended.exception
    assert f"separator: {written}" in (root / "evals" / "suite.yaml").read_text(encoding="utf-8")


def test_a_setting_that_the_file_cannot_have_is_a_problem(root: Path) -> None:
    """Flags are checked like the keys of a suite."""
    (root / "t.csv").write_text("question,expected\nq,a\n", encoding="utf-8")
    with pytest.raises(InputError, match="latin-99"):
        started(root, "t.csv", encoding="latin-99")
    with pytest.raises(InputError, match="only a workbook"):
        started(root, "t.csv", sheet="A")
    with pytest.raises(InputError, match="--separator: ':' is not a separator"):
        started(root, "t.csv", separator=":")


def test_an_encoding_is_asked_for_below_a_header_of_plain_letters(root: Path) -> None:
    """The header can be read, and a later row cannot."""
    (root / "t.csv").write_bytes("id;Question;Expected\n1;Wo?;x\n2;Größe?;10 €\n".encode("cp1252"))
    with pytest.raises(InputError) as refused:
        started(root, "t.csv")
    assert "`evalkit init evals --from t.csv --encoding cp1252`" in refused.value.problems[0].fix


@pytest.mark.parametrize(
    ("name", "text", "reference"),
    [
        ("t.csv", "vars,__expected\nx,Paris\n", ("Paris",)),
        ("t.csv", "vars,__expected\nx,equals: Paris\n", ("Paris",)),
        ("t.jsonl", '{"inputs": {"question": "x"}, "outputs": {"answer": "Paris"}}\n', ("Paris",)),
        ("t.jsonl", '{"question": "x", "context": "One passage.", "expected": "Paris"}\n', ("Paris",)),
    ],
)
def test_files_of_other_tools_keep_their_meaning(root: Path, name: str, text: str, reference: tuple[str, ...]) -> None:
    """What evalkit reads by itself is not mapped to something else."""
    from evalkit.suite.parse import load_suite

    (root / name).write_text(text, encoding="utf-8")
    started(root, name)
    suite = load_suite(root / "evals" / "suite.yaml")
    golden = open_golden(suite.golden, suite.golden_file, name)
    (case,) = golden.open()
    assert (case.question, case.reference) == ("x", reference)


def test_an_assertion_of_promptfoo_is_a_check(root: Path) -> None:
    """Not the text that is expected."""
    (root / "t.csv").write_text("vars,__expected\nx,contains: Paris\n", encoding="utf-8")
    assert "__expected" not in started(root, "t.csv").partition("golden:")[2].partition("\n")[0]


def test_a_cohort_in_capitals_is_reported_by(root: Path) -> None:
    """The suite names it as the file does."""
    (root / "t.csv").write_text("question,expected,Cohorts.Topic\nq,a,fees\n", encoding="utf-8")
    assert "cohorts: [Topic]" in started(root, "t.csv")
