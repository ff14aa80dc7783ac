"""Which files beside a system are part of it: those that it can import or that it names, not those that appear."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.disk.sources import source_files
from evalkit.systems import CommandSystem, PythonSystem, Shared

HEAD = "import glob, json, os\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"


def fingerprint(root: Path, code: str, **options: object) -> str | None:
    """The fingerprint of a bot in a folder of the project."""
    file = root / "bots" / "bot.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(HEAD + code, encoding="utf-8")
    system = PythonSystem(python="bots.bot:answer", **options)  # type: ignore[arg-type]
    return system.fingerprint(Shared(root=root, project=root))


def put(root: Path, name: str, text: str = "some text") -> None:
    """Write a file of the project."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


PLAIN = "def answer(input): return (HERE / 'prompt.txt').read_text()\n"


@pytest.mark.parametrize(
    "name",
    [
        "bots/out.txt",
        "out.txt",
        "bots/run.log",
        "bots/.coverage",
        ".coverage.host.123",
        "bots/__pycache__/bot.cpython-311.pyc",
        "bots/bot.pyc",
        "bots/notes.md",
        "README.md",
        "bots/results.jsonl",
        "bots/results.csv",
        "bots/nohup.out",
        "summary.md",
        "junit.xml",
        "bots/reports/r1/summary.md",
        "htmlcov/index.html",
        "bots/core.1234",
        "bots/answers.json",
        "bots/prompt.txt.bak",
        "bots/old_prompt.txt",
        ".mypy_cache/3.11/bot.json",
        "bots/bot.py.orig",
    ],
)
def test_what_appears_beside_a_system_is_not_part_of_it(tmp_path: Path, name: str) -> None:
    """Output, logs, caches, notes and reports change nothing, neither new nor grown."""
    put(tmp_path, "bots/prompt.txt")
    before = fingerprint(tmp_path, PLAIN)
    put(tmp_path, name, "first")
    assert fingerprint(tmp_path, PLAIN) == before
    put(tmp_path, name, "first and second")
    assert fingerprint(tmp_path, PLAIN) == before


@pytest.mark.parametrize(
    ("code", "name"),
    [
        pytest.param(PLAIN, "bots/prompt.txt", id="a file beside the module"),
        pytest.param("T = open('prompts/tone.md').read()", "prompts/tone.md", id="from the project's root"),
        pytest.param("T = open(os.path.join(os.path.dirname(__file__), 'a.txt')).read()", "bots/a.txt", id="os.path"),
        pytest.param("T = [p.read_text() for p in HERE.glob('*.md')]", "bots/a.md", id="a pattern"),
        pytest.param("T = [p.read_text() for p in HERE.rglob('*.md')]", "bots/deep/er/a.md", id="a deep pattern"),
        pytest.param("T = [open(p).read() for p in glob.glob('shots/*.txt')]", "shots/1.txt", id="the glob module"),
        pytest.param(
            "T = [p.read_text() for p in (HERE / 'shots').iterdir()]", "bots/shots/1.txt", id="a whole folder"
        ),
        pytest.param(
            "def answer(input, tone): return (HERE / f'{tone}.md').read_text()", "bots/kind.md", id="f-string"
        ),
        pytest.param(
            "def answer(input, t): return (HERE / 'tone' / t).read_text()", "bots/tone/kind.md", id="argument"
        ),
        pytest.param("def load(n): return (HERE / n).read_text()\nT = load('a.txt')", "bots/a.txt", id="a function"),
        pytest.param("T = (HERE / 'a-{}.txt'.format(1)).read_text()", "bots/a-1.txt", id="format"),
        pytest.param("T = (HERE / ('a-%d.txt' % 1)).read_text()", "bots/a-1.txt", id="percent"),
        pytest.param("T = Path(__file__).with_name('a.yaml').read_text()", "bots/a.yaml", id="with_name"),
        pytest.param("T = (Path(__file__).parents[1] / 'conf' / 'a.toml').read_text()", "conf/a.toml", id="parents"),
        pytest.param("L = FileSystemLoader('views')", "views/deep/base.j2", id="a loader of templates"),
        pytest.param("def answer(input): return build(input)", "bots/prompts/system", id="the folder prompts"),
        pytest.param("def answer(input): return build(input)", "bots/templates/a/b.jinja", id="the folder templates"),
        pytest.param("import bots.helper", "bots/helper.py", id="a module"),
        pytest.param("x = 1", "lib/anything.py", id="a module that could be imported"),
        pytest.param("KB = json.load(open('kb.json'))", "kb.json", id="data that is only read"),
    ],
)
def test_what_a_system_names_is_part_of_it(tmp_path: Path, code: str, name: str) -> None:
    """However the code writes the name of a prompt or of data that it reads, an edit is another system."""
    put(tmp_path, name, "x = 1")
    before = fingerprint(tmp_path, code)
    assert fingerprint(tmp_path, code) == before
    put(tmp_path, name, "x = 2")
    edited = fingerprint(tmp_path, code)
    assert edited != before
    (tmp_path / name).unlink()
    assert fingerprint(tmp_path, code) not in (before, edited)


LOG = "LOG = Path(__file__).with_name('calls.txt')\ndef answer(input):\n  with LOG.open('a') as f: f.write(input)"
STATE = "STATE = HERE / 'state.json'\nX = STATE.read_text()\ndef answer(input): STATE.write_text(input)"
OWN_LOG = "class Bot:\n  def __init__(self): self.log = HERE / 'log.md'\n  def answer(self, input): self.log.open('a')"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (LOG, "bots/calls.txt"),
        ("def answer(input): open('bots/seen.txt', 'w').write(input)", "bots/seen.txt"),
        ("def answer(input): open(mode='a', file=HERE / 'seen.txt').write(input)", "bots/seen.txt"),
        ("def answer(input): (HERE / 'state.json').write_text(input)", "bots/state.json"),
        (STATE, "bots/state.json"),
        (OWN_LOG, "bots/log.md"),
        ("import logging\nlogging.basicConfig(filename='bot.txt')", "bot.txt"),
        ("import logging\nH = logging.FileHandler(HERE / 'bot.txt')", "bots/bot.txt"),
        ("import sqlite3\nDB = sqlite3.connect(HERE / 'memory.sqlite')", "bots/memory.sqlite"),
        ("def answer(input, id): (HERE / 'out' / f'{id}.txt').write_text(input)", "bots/out/c1.txt"),
        ("def answer(input, id): open(f'out/{id}.txt', 'w').write(input)", "out/c1.txt"),
        ("import json\ndef answer(input): json.dump(input, open('trace.json', 'w'))", "trace.json"),
        ("def answer(input, n): print(f'{input}-{n}', f'step {n}', input + ' more')", "bots/some-thing.md"),
    ],
)
def test_what_a_system_writes_is_not_part_of_it(tmp_path: Path, code: str, name: str) -> None:
    """A transcript, state or database of its own grows with each call and makes no other system."""
    before = fingerprint(tmp_path, code)
    put(tmp_path, name, "one call")
    assert fingerprint(tmp_path, code) == before
    put(tmp_path, name, "two calls")
    assert fingerprint(tmp_path, code) == before


def test_a_prompt_beside_a_written_pattern_still_counts(tmp_path: Path) -> None:
    """The code writes `*.txt` there, and names one such file that it reads."""
    code = "T = (HERE / 'prompt.txt').read_text()\ndef answer(input, id): (HERE / f'{id}.txt').write_text(input)"
    put(tmp_path, "bots/prompt.txt", "one")
    before = fingerprint(tmp_path, code)
    put(tmp_path, "bots/c1.txt", "an answer")
    assert fingerprint(tmp_path, code) == before
    put(tmp_path, "bots/prompt.txt", "two")
    assert fingerprint(tmp_path, code) != before


def test_names_are_followed_through_imports_and_configuration(tmp_path: Path) -> None:
    """The bot -> helper -> settings.yaml -> tone.md; a module that nobody imports names nothing for the system."""
    put(tmp_path, "bots/helper.py", "from . import deeper")
    put(tmp_path, "bots/deeper.py", "S = open('settings.yaml').read()")
    put(tmp_path, "settings.yaml", "prompt: texts/tone.md\n")
    put(tmp_path, "texts/tone.md")
    put(tmp_path, "tools/other.py", "open('out.txt').read()")
    put(tmp_path, "out.txt")
    put(tmp_path, "bots/bot.py", "from bots.helper import S")
    names = [name for name, _ in source_files(tmp_path / "bots/bot.py", "bots.bot", tmp_path)]
    assert names == [
        "bots/bot.py",
        "bots/deeper.py",
        "bots/helper.py",
        "settings.yaml",
        "texts/tone.md",
        "tools/other.py",
    ]


def test_the_suite_declares_what_the_code_does_not_name(tmp_path: Path) -> None:
    """`files:` and `arguments:` name files too; `files:` counts even what the system writes."""
    code = (
        "import sqlite3\ndef answer(input, which='a'): return open(find(which)).read()\nDB = sqlite3.connect('kb.db')"
    )
    for name in ("tone/a.md", "tone/b.md", "kb.db"):
        put(tmp_path, name, "one")
    plain = fingerprint(tmp_path, code)
    asked = {"files": ("tone/*.md", "kb.db"), "arguments": {}}
    named = fingerprint(tmp_path, code, arguments={"which": "tone/a.md"})
    declared = fingerprint(tmp_path, code, **asked)
    put(tmp_path, "tone/a.md", "two")
    assert fingerprint(tmp_path, code) == plain
    assert fingerprint(tmp_path, code, arguments={"which": "tone/a.md"}) != named
    assert fingerprint(tmp_path, code, **asked) != declared
    again = fingerprint(tmp_path, code, **asked)
    put(tmp_path, "kb.db", "two")
    assert fingerprint(tmp_path, code, **asked) != again


def test_the_files_of_the_run_are_not_part_of_the_system(tmp_path: Path) -> None:
    """A bot that names its golden set is no other bot when a case is edited."""
    put(tmp_path, "bots/bot.py", "CASES = open('cases.jsonl').read()")
    put(tmp_path, "cases.jsonl", "{}")
    system = PythonSystem(python="bots.bot:answer")
    shared = Shared(root=tmp_path, project=tmp_path, inputs=(tmp_path / "cases.jsonl",))
    before = system.fingerprint(shared)
    put(tmp_path, "cases.jsonl", "{...}")
    assert system.fingerprint(shared) == before


@pytest.mark.parametrize(
    ("command", "name", "counts"),
    [
        (("sh", "run.sh"), "run.sh", True),
        (("sh", "run.sh"), "bot.py", True),
        (("sh", "run.sh"), "prompt.txt", True),
        (("sh", "run.sh"), "out.txt", False),
        (("sh", "run.sh"), "notes.md", False),
        (("sh", "run.sh"), "other.py", True),
        (("node", "bot.js"), "persona.md", True),
        (("node", "bot.js"), "other.py", False),
        (("python", "bot.py", "--tone", "tone.md"), "tone.md", True),
        (("python", "bot.py"), "tone.md", False),
    ],
)
def test_a_command_is_what_it_names(tmp_path: Path, command: tuple[str, ...], name: str, counts: bool) -> None:
    """Scripts of any language, the python files that they start, and what these name."""
    files = {
        "run.sh": "python bot.py < in.json > out.txt",
        "bot.py": "T = open('prompt.txt').read()",
        "bot.js": "const text = fs.readFileSync('persona.md')",
    }
    for each, text in {**dict.fromkeys(["prompt.txt", "persona.md", "tone.md", "other.py"], "x = 1"), **files}.items():
        put(tmp_path, each, text)
    system, shared = CommandSystem(command=command), Shared(root=tmp_path, project=tmp_path)
    before = system.fingerprint(shared)
    put(tmp_path, name, files.get(name, "x = 1") + "\n")
    assert (system.fingerprint(shared) != before) == counts


@pytest.mark.parametrize(
    "source", ["def (", "\x00", "x = '" + "a" * 100_000 + "'", "", "x = 1 / 'a' / 'b'", "p = p / p"]
)
def test_odd_source_has_a_fingerprint_too(tmp_path: Path, source: str) -> None:
    """Source that cannot be parsed, and names that lead in circles."""
    put(tmp_path, "bot.py", source)
    assert source_files(tmp_path / "bot.py", "bot", tmp_path) == [("bot.py", tmp_path.resolve() / "bot.py")]


def test_evalkit_is_no_part_of_what_imports_it(tmp_path: Path) -> None:
    """A project that holds evalkit's source, as evalkit's own does, is not all of evalkit."""
    from evalkit.disk.sources import imported_files

    (tmp_path / "evalkit").mkdir()
    (tmp_path / "evalkit/__init__.py").write_text("from evalkit import far\n", encoding="utf-8")
    (tmp_path / "evalkit/far.py").touch()
    (tmp_path / "world.py").write_text("import helper\nfrom evalkit import ToolError\n", encoding="utf-8")
    (tmp_path / "helper.py").touch()
    assert sorted(imported_files(tmp_path / "world.py", "world", tmp_path)) == ["helper.py", "world.py"]
