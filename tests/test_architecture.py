"""The house rules that a program can see: which way imports point, what is imported late, how long a module is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "evalkit"
MODULES = sorted(ROOT.rglob("*.py"))
RANKS = (
    {"visible"},
    {"types", "errors", "paths", "sealed", "waits", "__init__"},
    {"results", "document", "files"},
    {"stats", "figures"},
    {"aggregate", "llm"},
    {"gate", "golden", "systems", "scorers"},
    {"suite"},
    {"store", "runner", "report"},
    {"stored"},
    {"assess"},
    {"amended", "former", "decided"},
    {"session", "rescore", "inputs", "terms"},
    {"resume"},
    {"pipeline", "analysis", "health", "calibrate", "noise", "estimate"},
    {"labelling", "vouching", "dry_run"},
    {"cli", "ci", "pytest_plugin", "__main__", "testing"},
)
"""Rooms of the house, from the ground up; a module imports from lower floors only."""
SIBLINGS = {
    ("runner", "store"): "the manifest is a file of the run folder",
    ("report", "store"): "reports are made from the files of a run folder",
    ("__main__", "cli"): "the module form of the command",
    ("golden", "aggregate"): "label files become the labels that agreement takes",
}
SCORER_ROOMS = {
    "rules": {"base"},
    "embedding": {"base", "rules"},
    "judges": {"base", "embedding"},
    "libraries": {"base", "embedding", "judges"},
    "registry": {"base", "libraries"},
    "base": {"embedding"},
}
"""Rooms of `evalkit/scorers/` and which of the others each may use.

`base` knows the embedder by type only, and `embedding` of `rules` what a word is."""
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
}
FORBIDDEN = {"pickle", "marshal", "shelve", "nest_asyncio"}


def room(module: str) -> str:
    """Room of a dotted name below `evalkit`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def floor(name: str) -> int:
    """Floor of a room."""
    return next(number for number, rooms in enumerate(RANKS) if name in rooms)


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every imported module with its node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node


def late_nodes(tree: ast.AST) -> set[int]:
    """Imports inside a function, or for type checking only."""
    late: set[int] = set()
    for node in ast.walk(tree):
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or typing_only:
            late |= {id(inner) for inner in ast.walk(node)}
    return late


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_module_imports_from_lower_floors_only(file: Path) -> None:
    """Values flow one way, so imports point one way."""
    own = file.relative_to(ROOT).with_suffix("").parts[0]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for module, node in imports(tree):
        other = room(module)
        if not module.startswith("evalkit") or other == own:
            continue
        allowed = floor(other) < floor(own) or (own, other) in SIBLINGS
        assert allowed, f"{file.name}:{node.lineno} ({own}) imports {module} ({other})"  # type: ignore[attr-defined]


@pytest.mark.parametrize("file", sorted((ROOT / "scorers").rglob("*.py")), ids=lambda file: file.stem)
def test_scorers_keep_to_their_rooms(file: Path) -> None:
    """A rule needs no model, a judge no library."""
    own = file.relative_to(ROOT / "scorers").with_suffix("").parts[0]
    for module, node in imports(ast.parse(file.read_text(encoding="utf-8"))):
        parts = module.split(".")
        if parts[:2] != ["evalkit", "scorers"] or len(parts) < 3 or parts[2] == own:
            continue
        assert parts[2] in SCORER_ROOMS[own], f"{file.name}:{node.lineno} ({own}) imports {module}"  # type: ignore[attr-defined]


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_heavy_packages_are_imported_where_they_are_used(file: Path) -> None:
    """Start-up pays for none of them; nothing unpickles or evaluates."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    late = late_nodes(tree)
    for module, node in imports(tree):
        top = module.split(".")[0]
        assert top not in FORBIDDEN, f"{file.name} imports {top}"
        assert top not in LATE or id(node) in late, f"{file.name}:{node.lineno} imports {top} early"  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"eval", "exec", "yaml.load", "os.system"}, file.name
            assert not any(word.arg == "shell" for word in node.keywords), file.name


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_module_fits_in_a_head(file: Path) -> None:
    """No module has more than 400 lines."""
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400
