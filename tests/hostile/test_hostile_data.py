"""Data is never a template, a path, a program, a bomb or a pattern that takes for ever."""

import ast
import gzip
import json
import re
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_lab import HERE, SUITE, command, write_project

from evalkit.disk.paths import inside_project
from evalkit.errors import InputError, Problem
from evalkit.formats.yaml_text import parse
from evalkit.golden.json_lines import parse_row
from evalkit.scorers.rules.pattern import Regex
from evalkit.systems.secrets import redact, secrets_of
from evalkit.text.escaping import visible
from evalkit.text.printable import clipped, code, one_line, plain
from evalkit.types import Case, Output

PACKAGE = Path(__file__).parents[2] / "evalkit"
TEMPLATES = (
    "{{7*7}}",
    "{{input}}",
    "{{reference}}",
    "{{''.__class__.__mro__}}",
    "{0.__class__}",
    "{rubric}",
    "{% for x in y %}",
    "%s %(input)s %n",
    "${HOME}",
    "$HOME $(id) `id`",
    "<%= 7*7 %>",
    "#{7*7}",
    "\\{\\{7*7\\}\\}",
    "{{{{7*7}}}}",
    "{{ cohorts.topic }}",
)
PATHS = (
    "../outside.jsonl",
    "../../outside.jsonl",
    "a/../../outside.jsonl",
    "/etc/passwd",
    "..\\outside.jsonl",
    "\\\\host\\share\\x.jsonl",
    "C:\\x.jsonl",
    "%2e%2e/outside.jsonl",
    "..%2foutside.jsonl",
    "x\0.jsonl",
    "file:///etc/passwd",
    "~/outside.jsonl",
    "link/outside.jsonl",
    "link",
    "//host/share",
    "...//outside.jsonl",
)
PATTERNS = (
    r"(a+)+$", r"(a|a)*$", r"(a|aa)+$", r"(a*)*b", r"(.*a){20}$", r"([a-z]+)*\d", r"(\w+\s?)*$", r"(x+x+)+y",
    r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(a?){50}a{50}", r"(.*)*=", r"((a*)*)*$", r"(a+a+)+b", r"\s+$", r"(\s*,\s*)*;",
    r"(ab*)*c", r"^(a+){10}$", r"(a{1,30}){1,10}$", r"(?:[^b]*a)*$", r"([\w.]+)*@",
)  # fmt: skip
LONG = "a" * 50_000 + "!"


def test_templates_in_data_go_out_as_they_are(tmp_path: Path) -> None:
    """Placeholders are filled once: what they are filled with is never read again."""
    cases = [
        {"id": f"c{number}", "input": text, "reference": text, "cohorts": {"topic": text}}
        for number, text in enumerate(TEMPLATES)
    ]
    with HERE.echoing() as address:
        system = (
            f"system: {{http: '{address}/x', body: {{q: 'before {{{{input}}}} after', t: '{{{{cohorts.topic}}}}'}}}}"
        )
        write_project(tmp_path, suite=SUITE.replace('system: {python: "bot:answer"}', system), cases=cases)
        ran = command(tmp_path, "run", "suite.yaml", "--out", "run", "--progress", "none")
    assert ran.code in (1, 3)
    sent = [json.loads(body) for body in HERE.bodies]
    assert sorted((each["q"], each["t"]) for each in sent) == sorted((f"before {t} after", t) for t in TEMPLATES)


@pytest.mark.parametrize(
    "key", ["golden", "trained_on", "labels", "rubric", "replay", "calibrations", "baseline", "system_prompt_file"]
)
def test_no_path_leaves_the_project(tmp_path: Path, key: str) -> None:
    """Dots, roots, encodings, other systems' paths, NUL and links, under every key that names a file."""
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "outside.jsonl").write_text('{"id": "secret", "input": "outside"}\n', encoding="utf-8")
    (root / "link").symlink_to(tmp_path)
    for path in PATHS:
        written = json.dumps(path)
        suite = {
            "golden": SUITE.replace("cases.jsonl", written),
            "trained_on": SUITE.replace("cases.jsonl", f"{{path: cases.jsonl, trained_on: [{written}]}}"),
            "labels": f"labels: [{written}]\n{SUITE}",
            "calibrations": f"calibrations: [{written}]\n{SUITE}",
            "rubric": SUITE.replace("- exact", f"- judge: {{rubric: {json.dumps('./' + path)}, name: j}}"),
            "replay": SUITE.replace('{python: "bot:answer"}', f"{{replay: {written}}}"),
            "baseline": SUITE.replace("baseline: main", f"baseline: {json.dumps('./' + path)}"),
            "system_prompt_file": SUITE.replace(
                '{python: "bot:answer"}', f"{{chat: m, base_url: 'http://127.0.0.1:9', system_prompt_file: {written}}}"
            ),
        }[key]
        write_project(root, suite=suite)
        ran = command(root, "check", "suite.yaml")
        assert ran.code == 2, (path, ran)
        assert ran.err.startswith("suite.yaml:"), (path, ran)
        assert "Traceback" not in ran.err
        assert "secret" not in ran.err


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_resolved_before_it_is_judged(tmp_path: Path, path: str) -> None:
    """What `inside_project` gives lies inside; a neighbour whose name begins alike does not."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").touch()
    (tmp_path / "project-two").mkdir()
    (root / "link").symlink_to(tmp_path)
    for name in (path, "../project-two/x"):
        try:
            found = inside_project(root, name)
        except ValueError:
            continue
        assert found.is_relative_to(root.resolve())
        assert name != "../project-two/x"


def test_an_id_is_no_file_name(tmp_path: Path) -> None:
    """A run writes its own files and no other, whatever its cases are called."""
    ids = ["../../x", "/etc/x", "a/b", "con", "..", ".", "-rf", "x.html", "%2e%2e%2fx", "$(id)", "`id`;ls", "a\\b"]
    write_project(
        tmp_path, cases=[{"id": each, "input": "q", "reference": "Paris", "cohorts": {"topic": each}} for each in ids]
    )
    before = {file.name for file in tmp_path.iterdir()}
    assert command(tmp_path, "run", "suite.yaml", "--out", "run", "--progress", "none").code in (0, 1, 3)
    assert {file.name for file in tmp_path.iterdir()} - before - {"__pycache__"} == {"run", ".evalkit"}
    assert {file.name for file in (tmp_path / ".evalkit").iterdir()} <= {"runs.sqlite", ".gitignore"}
    assert all(
        re.fullmatch(r"[a-z_]+\.(json|jsonl|html|md|xml|txt)", file.name) for file in (tmp_path / "run").rglob("*")
    )


def bounded(action: Callable[[], object]) -> object:
    """What an action gives, in little CPU time and in 50 MB; counting the memory would slow the other count down."""
    started = time.process_time()
    try:
        action()
    except InputError:
        pass
    spent = time.process_time() - started
    assert spent < 30, spent  # a tenth of a second where it is bounded; a bomb takes minutes
    tracemalloc.start()
    try:
        return action()
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 50_000_000, peak


BOMBS = {
    "aliases": "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n" for i in range(40)),
    "merge": "a: &a {x: 1}\nb: {<<: *a}\n",
    "merge without alias": "b:\n  <<: {x: 1}\n",
    "tags": "a: !!python/object/apply:os.system ['id']\n",
    "own tags": "a: !x {b: 1}\n",
    "depth": "a: " + "[" * 5000,
    "deep mappings": "".join(f"{' ' * i}a:\n" for i in range(400)),
    "long integer": "a: " + "9" * 200_000,
    "long key": "? " + "[" * 60 + "]" * 60 + "\n: 1\n",
    "binary": "a: !!binary aGVsbG8=\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_of_yaml_is_refused_at_once(name: str) -> None:
    """Nothing is unfolded before it is refused."""
    with pytest.raises(InputError) as raised:
        parse(b"a: 1", "warm.yaml")
        bounded(lambda: parse(BOMBS[name].encode(), "suite.yaml"))
    assert str(raised.value).startswith("suite.yaml:")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("[" * 100_000, id="open arrays"),
        pytest.param('{"a":' * 100_000, id="open objects"),
        pytest.param('{"a": ' + "9" * 1_000_000 + "}", id="long integer"),
        pytest.param('{"a": 1e' + "9" * 100_000 + "}", id="long exponent"),
        pytest.param("{" + ",".join('"a": 1' for _ in range(100_000)) + "}", id="one key many times"),
        pytest.param('{"a": "' + "\\ud800" * 100_000 + '"', id="half characters"),
    ],
)
def test_a_bomb_of_json_is_refused_at_once(line: str) -> None:
    """A row costs no more than its own length."""
    problems: list[Problem] = []
    assert bounded(lambda: parse_row(line.encode(), "cases.jsonl:1", problems.append)) is None
    assert len(problems) == 2  # one each time


def test_packed_data_is_read_line_by_line(tmp_path: Path) -> None:
    """A megabyte that unpacks to a gigabyte ends at the longest line; other archives are no golden sets."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    write_project(tmp_path, suite=SUITE.replace("cases.jsonl", "bomb.jsonl.gz"))
    (tmp_path / "bomb.jsonl.gz").write_bytes(bomb)
    command(tmp_path, "check", "suite.yaml")
    ran = bounded(lambda: command(tmp_path, "check", "suite.yaml"))
    assert ran.code == 2  # type: ignore[attr-defined]
    assert "a line longer than 8 MiB" in ran.err  # type: ignore[attr-defined]
    for name, content in (
        ("cases.zip", b"PK\x03\x04"),
        ("cases.tar.gz", gzip.compress(b"x")),
        ("cut.jsonl.gz", bomb[:99]),
    ):
        write_project(tmp_path, suite=SUITE.replace("cases.jsonl", name))
        (tmp_path / name).write_bytes(content)
        ran = command(tmp_path, "check", "suite.yaml")
        assert ran.code == 2, (name, ran)
        assert "Traceback" not in ran.err, (name, ran)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    """Twenty patterns that hang a backtracking engine, on fifty thousand characters."""
    scorer = Regex(pattern=pattern)
    answer = Output(text=LONG)
    grade = bounded(lambda: scorer.score(Case(id="a", input="q"), answer))
    assert grade.passed in (True, False)  # type: ignore[attr-defined]


HOSTILE_TEXTS = (
    "`" * 50_000,
    "[" * 50_000,
    "*_" * 25_000,
    "@" * 50_000,
    "://" * 20_000,
    "\x1b" * 50_000,
    " " * 50_000 + "x",
    LONG,
)


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: repr(text[:3]))
def test_no_text_makes_our_own_escaping_slow(text: str) -> None:
    """Escaping is linear in the text."""
    secrets = secrets_of({"A_KEY": "aaaaaaaab"})
    for each in (visible, one_line, code, plain, lambda said: clipped(said, 2000), lambda said: redact(said, secrets)):
        bounded(lambda each=each: each(text))  # type: ignore[misc]


BANNED = {
    "eval", "exec", "compile", "__import__", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.safe_load",
    "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "joblib.load", "torch.load",
    "dill.loads", "cloudpickle.loads", "csv.writer", "csv.DictWriter", "tempfile.mktemp",
}  # fmt: skip
ALLOWED = {("report/table.py", "csv.writer")}
"""The one table that is written; tests/report/test_report_table.py shows that no cell of it is a formula."""
FOREIGN = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "nest_asyncio"}


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_nothing_is_unpickled_or_evaluated(file: Path) -> None:
    """Nor given to a shell, nor read as YAML otherwise than by the strict reader; and one module alone writes CSV."""
    allowed = {called for name, called in ALLOWED if file.as_posix().endswith(f"evalkit/{name}")}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not FOREIGN.intersection(name.split(".")[0] for name in names), names
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in BANNED - allowed, (called, node.lineno)
            assert not called.endswith((".to_csv", ".from_string", "create_subprocess_shell")), (called, node.lineno)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert given.get("shell", "False") == "False", node.lineno
            assert given.get("allow_pickle", "False") == "False", node.lineno
            assert given.get("trust_remote_code", "False") == "False", node.lineno


def test_the_ban_can_fail(tmp_path: Path) -> None:
    """A module that breaks it is found."""
    for text in ("import pickle", "eval('1')", "run(x, shell=True)", "frame.to_csv(x)", "yaml.safe_load(x)"):
        file = tmp_path / "module.py"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(AssertionError):
            test_nothing_is_unpickled_or_evaluated(file)
