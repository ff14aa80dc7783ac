"""The house rules that a program can see: which way imports point, what is imported late, how long a module is."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "evalkit"
MODULES = sorted(ROOT.rglob("*.py"))
RANKS = (
    {"types", "results", "text", "errors"},
    {"stats", "disk", "formats", "net"},
    {"aggregate", "golden", "llm"},
    {"traces"},
    {"trust", "scorers", "systems"},
    {"store", "imports"},
    {"gate", "report", "guard"},
    {"suite", "ci", "analysis"},
    {"baselines"},
    {"runner"},
    {"monitor"},
    {"operations"},
    {"cli", "pytest_plugin", "__init__", "__main__", "testing"},
)
"""Rooms of the house, from the ground up; a module imports from lower floors only, type checking included."""
DOORS = {("__main__", "cli"): "the module form of the command"}
AT_THE_ROOT = {"__init__", "__main__", "analysis", "errors", "pytest_plugin", "types"}
"""Everything else has a room."""
SCORER_ROOMS = {
    "rules": {"base"},
    "agents": {"base", "rules"},
    "embedding": {"base", "rules"},
    "judges": {"base", "embedding", "rules"},
    "libraries": {"base", "embedding", "judges"},
    "custom": {"base"},
    "registry": {"base", "custom", "libraries"},
    "base": {"embedding"},
}
"""Rooms of `evalkit/scorers/` and which of the others each may use.

`base` knows the embedder by type only; `embedding` of `rules` what a word is, `judges` what a claim is about."""
LATE = {
    "ragas",
    "deepeval",
    "datasets",
    "pandas",
    "sklearn",
    "jinja2",
    "jsonschema",
    "wordllama",
    "genai_prices",
    "re2",
    "transformers",
    "torch",
}
FORBIDDEN = {"pickle", "marshal", "shelve", "nest_asyncio"}


def room(module: str) -> str:
    """Room of a dotted name below `evalkit`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def floor(name: str) -> int:
    """Floor of a room; a folder that is none has no place to import from."""
    found = [number for number, rooms in enumerate(RANKS) if name in rooms]
    assert found, f"evalkit/{name} is not a room: put its parts into those of RANKS, or give it a floor there"
    return found[0]


@functools.cache
def nodes(tree: ast.AST) -> list[ast.AST]:
    """Every node of a tree."""
    return list(ast.walk(tree))


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every imported module with its node."""
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node


@functools.cache
def late_nodes(tree: ast.AST) -> set[int]:
    """Imports inside a function, or for type checking only."""
    late: set[int] = set()
    for node in nodes(tree):
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or typing_only:
            late |= {id(inner) for inner in ast.walk(node)}
    return late


@functools.cache
def parsed() -> list[tuple[str, ast.Module]]:
    """Path below `evalkit/` and syntax tree of every module."""
    return [(file.relative_to(ROOT).as_posix(), ast.parse(file.read_text(encoding="utf-8"))) for file in MODULES]


def test_a_module_imports_from_lower_floors_only() -> None:
    """Values flow one way, so imports point one way; on the ground floor types, results, texts and errors meet."""
    climbs = []
    for name, tree in parsed():
        own = name.removesuffix(".py").split("/")[0]
        for module, node in imports(tree):
            other = room(module)
            if not module.startswith("evalkit") or other in (own, "__init__") or (own, other) in DOORS:
                continue
            if not (floor(other) < floor(own) or floor(other) == floor(own) == 0):
                climbs.append(f"{name}:{node.lineno} ({own}) imports {module} ({other})")  # type: ignore[attr-defined]
    assert not climbs, "\n".join(climbs)


HANDED_ON = {"store.folder", "suite.parse", "suite.model", "runner.plan"}
"""A command makes these of its arguments and hands them on: a run folder, a suite, a choice of cases."""
PROCESS = {"app", "signals", "streams", "progress"}
"""Modules of `cli` that look after the process: signals, streams, secrets in messages, the progress of a run."""
EVERYWHERE = {"reference", "doctor", "init"}
"""Commands that describe or try every room, or read the origin of the checkout."""


def test_a_command_parses_calls_and_prints() -> None:
    """What a command does is an operation, which Python can call too: the command itself knows no other room."""
    strays = []
    for name, tree in parsed():
        own = name.removesuffix(".py")
        if not own.startswith("cli/") or own.removeprefix("cli/") in PROCESS | EVERYWHERE:
            continue
        for module, node in imports(tree):
            known = {"operations", "report", "text", "types", "results", "errors", "disk", "cli", "__init__"}
            inner = module.removeprefix("evalkit.")
            if module.startswith("evalkit") and room(module) not in known and inner not in HANDED_ON:
                strays.append(f"{name}:{node.lineno} imports {module}")  # type: ignore[attr-defined]
    assert not strays, "\n".join(strays)


AS_WRITTEN = {
    "build_embedder": "options of a suite, as they are written there",
    "read_judge": "options of a suite, or of a monitor",
    "read_vendors": "options of a suite, or of a monitor",
    "own_name": "options of a suite",
    "with_vendor": "options of a suite",
    "hints_of": "types of the fields of a class",
    "head_of": "a decision as its file has it, which the head covers byte for byte",
    "facts_record": "JSON for a command to print",
    "to_case": "a row as its file has it",
    "row_of": "a row as its file has it",
    "questions_of": "a row as its file has it",
    "parse_row": "a row as its file has it",
    "add_row": "a row as its file has it",
}
"""Functions that may hand a mapping of anything to another room, and what it is. `formats` is there to do so."""


def test_what_crosses_a_room_has_a_type() -> None:
    """A function that another room imports takes and gives values with names, not mappings of anything."""
    used = set()
    for name, tree in parsed():
        own = name.removesuffix(".py").split("/")[0]
        for node in nodes(tree):
            if isinstance(node, ast.ImportFrom) and room(node.module or "") not in (own, "__init__", "formats"):
                used |= {(node.module, alias.name) for alias in node.names}
    loose = []
    for name, tree in parsed():
        module = "evalkit." + name.removesuffix(".py").replace("/", ".")
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (module, node.name) not in used:
                continue
            hints = [each.annotation for each in (*node.args.args, *node.args.kwonlyargs)] + [node.returns]
            texts = [ast.unparse(hint) for hint in hints if hint is not None]
            mixed = any(word in text for text in texts for word in ("Mapping[str, Any]", "dict[str, Any]"))
            if mixed and node.name not in AS_WRITTEN:
                loose.append(f"{name}:{node.lineno} {node.name}")
    assert not loose, "\n".join(loose)


def test_imports_have_no_cycle() -> None:
    """No module needs itself, by whatever way."""
    names = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name, _ in parsed()}
    needs: dict[str, set[str]] = {}
    for name, tree in parsed():
        own = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        late = late_nodes(tree)
        needs[own] = set()
        for node in nodes(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("evalkit.") and id(node) not in late:
                module = str(node.module).removeprefix("evalkit.")
                inner = {f"{module}.{alias.name}" for alias in node.names} & names
                needs[own] |= (inner or {module}) - {own}
    while leaves := [name for name, found in needs.items() if not found & needs.keys()]:
        for name in leaves:
            del needs[name]
    assert not needs, sorted(needs)


AMBIENT = {"systems/tracer.py": "the user's code calls `evalkit.step`, and no argument of ours gets through it"}
"""Modules that may keep something in a context variable, and why an argument does not do."""


def test_what_a_function_needs_is_an_argument() -> None:
    """A value that is set in one room and read in another, without a parameter, is an argument that nobody sees."""
    hidden = {
        f"{name}:{node.lineno}"  # type: ignore[attr-defined]
        for name, tree in parsed()
        for module, node in imports(tree)
        if module == "contextvars" and name not in AMBIENT
    }
    assert hidden == set()


def test_the_root_holds_the_nouns_and_the_doors() -> None:
    """A use case or a helper has a room."""
    assert {file.stem for file in ROOT.glob("*.py")} == AT_THE_ROOT


def test_a_public_class_name_occurs_once() -> None:
    """A name says which class is meant."""
    places: dict[str, list[str]] = {}
    for name, tree in parsed():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


GUIDES = [ROOT.parent / "README.md", ROOT.parent / "CONTRIBUTING.md", *sorted((ROOT.parent / "docs").glob("*.md"))]


def singular(word: str) -> str:
    """A word of a name without the ending of its plural."""
    for ending, instead in (("ies", "y"), ("ses", "s"), ("ches", "ch"), ("s", "")):
        if word.endswith(ending) and not word.endswith("ss"):
            return word.removesuffix(ending) + instead
    return word


OTHER_WORDS = {"talk", "mend", "told", "grade"}
"""Words that mean the same as one of CONTRIBUTING.md: conversation, fix, reported, score."""


def test_a_module_is_named_in_words_of_the_guides() -> None:
    """A name holds no word that users and contributors do not find in a guide or in the words of CONTRIBUTING.md."""
    known = {
        singular(word) for page in GUIDES for word in re.findall(r"[a-z]+", page.read_text(encoding="utf-8").lower())
    }
    riddles = {
        f"{name}: {word}"
        for name, _ in parsed()
        for word in re.findall(r"[a-z]+", name.rpartition("/")[2].removesuffix(".py"))
        if singular(word) not in known - OTHER_WORDS | {"init", "main"}
    }
    assert riddles == set()


ELSEWHERE = {
    "runner/case_checks.py scorer CaseChecks": "reads the checks of a case as a suite reads its scorers",
    "runner/stored_answers.py system StoredAnswers": "answers from a run folder, which `systems` do not know",
}
"""Scorers and systems in another room, and why."""


def test_no_room_holds_a_whole_feature() -> None:
    """A feature comes as noun, reader, scorer, sentence of the report, operation and command, each in its room."""
    strays = []
    for name, tree in parsed():
        own = name.split("/")[0].removesuffix(".py")
        tops = {module.split(".")[0] for module, _ in imports(tree)}
        found = [("command", "typer" in tops, {"cli"}), ("page", bool(tops & {"rich", "jinja2"}), {"report", "cli"})]
        for node in nodes(tree):
            if isinstance(node, ast.ClassDef):
                inner = {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
                inner |= {ast.unparse(each.target) for each in node.body if isinstance(each, ast.AnnAssign)}
                found += [(f"scorer {node.name}", {"score", "metrics"} <= inner, {"scorers"})]
                found += [(f"system {node.name}", {"open", "fingerprint"} <= inner, {"systems"})]
        strays += [f"{name} {what}" for what, is_one, rooms in found if is_one and own not in rooms]
    assert set(strays) == set(ELSEWHERE)


PLACES = re.compile(r"`((?:evalkit|action|comment)/[\w/.]+)`(?:, `(\w+)`)?")


def test_every_place_of_the_map_exists() -> None:
    """A file that CONTRIBUTING.md names is there, and defines the name that stands beside it."""
    text = GUIDES[1].read_text(encoding="utf-8")
    places = PLACES.findall(text)
    assert len(places) > 25
    for file, name in places:
        path = ROOT.parent / file
        assert path.exists(), file
        if name:
            assert re.search(rf"^\s*(?:(?:async )?def|class) {name}\b|^{name}\b.*=", path.read_text(), re.MULTILINE), (
                file,
                name,
            )


def test_scorers_keep_to_their_rooms() -> None:
    """A rule needs no model, a judge no library."""
    strays = []
    for name, tree in parsed():
        if not name.startswith("scorers/"):
            continue
        own = name.removesuffix(".py").split("/")[1]
        for module, node in imports(tree):
            parts = module.split(".")
            if parts[:2] == ["evalkit", "scorers"] and len(parts) > 2 and parts[2] not in {own, *SCORER_ROOMS[own]}:
                strays.append(f"{name}:{node.lineno} ({own}) imports {module}")  # type: ignore[attr-defined]
    assert not strays, "\n".join(strays)


def test_heavy_packages_are_imported_where_they_are_used() -> None:
    """Start-up pays for none of them; nothing unpickles or evaluates."""
    found = []
    for name, tree in parsed():
        late = late_nodes(tree)
        for module, node in imports(tree):
            top = module.split(".")[0]
            if top in FORBIDDEN or (top in LATE and id(node) not in late):
                found.append(f"{name}:{node.lineno} imports {top}")  # type: ignore[attr-defined]
        for node in nodes(tree):
            if isinstance(node, ast.Call):
                unsafe = ast.unparse(node.func) in {"eval", "exec", "yaml.load", "os.system"}
                if unsafe or any(word.arg == "shell" for word in node.keywords):
                    found.append(f"{name}:{node.lineno} {ast.unparse(node.func)}")
    assert not found, "\n".join(found)


def test_a_module_fits_in_a_head() -> None:
    """No module has more than 400 lines."""
    lines = {file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES}
    assert {name: count for name, count in lines.items() if count > 400} == {}
