"""Suites, golden sets, labels and baselines spoilt at every place: a message or a clean run, never a traceback."""

import gzip
import hashlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from bad_lab import CASES, LABELS, SUITE, Lab, jsonl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.errors import InputError
from evalkit.formats.rows import decode_row
from evalkit.llm.wire import find_value
from evalkit.text.printable import code, one_line, plain
from evalkit.types import Row

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, 10**30, "", "x", "\0", "a\nb", "\ud800", "${NOPE}", "{{x}}", [], {}, [1], [None],
    [[]],
    {"a": 1}, {"": None}, [{"a": 1}], "../../etc/passwd", "https://x y", "1", "nan",
)  # fmt: skip
SMALL: tuple[Any, ...] = (None, True, -1, "x", [], {}, [1], {"a": 1}, 10**30, 1e308)
Path_ = tuple[str | int, ...]


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Every place in a value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(value: Any, path: Path_, new: Any) -> Any:
    """A copy with one place replaced; `...` takes it away."""
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    if new is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return copy


def mutants(value: Any, odd: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """Every place dropped, and replaced by every odd value."""
    for path in places(value):
        for new in (*odd, ...) if path else odd:
            yield f"{'.'.join(map(str, path))} = {new!r}", changed(value, path, new)


def thinned(items: list[tuple[str, Any]], keep: int) -> list[tuple[str, Any]]:
    """Some of them, the same ones each time."""
    return items if len(items) <= keep else random.Random(1).sample(items, keep)


def assert_told(lab: Lab, what: str, *words: str, codes: tuple[int, ...] = (0, 2, 5)) -> None:
    """A message with place and fix on each line, or a clean end; never a traceback, never a call."""
    ran = lab.run(*words)
    assert ran.code in codes, (what, ran)
    assert "Traceback" not in ran.err, what
    if ran.code == 2:
        lines = [line for line in ran.err.splitlines() if not line.startswith("... and ")]
        assert lines, what
        for line in lines:
            assert "; " in line and ":" in line.split("; ")[0], (what, line)
    assert lab.calls() == [], what


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A sound project with a baseline."""
    made = Lab(tmp_path_factory.mktemp("spoilt") / "project")
    made.baseline()
    return made


@pytest.fixture
def sound(lab: Lab) -> Iterator[Lab]:
    """The project, made sound again afterwards."""
    kept = lab.root.parent / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(lab.root, kept)
    yield lab
    shutil.rmtree(lab.root)
    shutil.copytree(kept, lab.root)


def suite_mutants(keep: int) -> list[tuple[str, str]]:
    """Suites with one place spoilt, and suites that end early."""
    odd = [(what, yaml.safe_dump(value, sort_keys=False)) for what, value in mutants(yaml.safe_load(SUITE), ODD)]
    return thinned(odd, keep) + thinned([(f"cut at {at}", SUITE[:at]) for at in range(len(SUITE))], keep // 4)


def row_mutants(rows: list[dict[str, Any]], keep: int) -> list[tuple[str, bytes]]:
    """Files of rows with one place spoilt, cut, or with flipped bytes."""
    good = jsonl(rows).encode()
    odd = [(what, jsonl([rows[0], value, *rows[2:]]).encode()) for what, value in mutants(rows[1], ODD)]
    chance = random.Random(2)
    flips = []
    for number in range(200):
        data = bytearray(good)
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        flips.append((f"flip {number}", bytes(data)))
    cuts = [(f"cut at {at}", good[:at]) for at in range(len(good))]
    return thinned(odd, keep) + thinned(flips, keep // 4) + thinned(cuts, keep // 4)


def baseline_mutants(folder: Path, keep: int) -> list[tuple[str, tuple[str, bytes | None]]]:
    """(what, (file, its new bytes, or `None` for none)) of a saved baseline."""
    found: list[tuple[str, tuple[str, bytes | None]]] = []
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        found.append((f"{file.name} gone", (file.name, None)))
        found += [
            (f"{file.name} cut at {at}", (file.name, data[:at])) for at in (0, 1, 10, len(data) // 2, len(data) - 9)
        ]
        for text in (b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 5000, b'{"format": 9}', b'{"format": 1}', b"NaN"):
            found.append((f"{file.name} is {text[:12]!r}", (file.name, text)))
            found.append((f"{file.name} packs {text[:12]!r}", (file.name, gzip.compress(text))))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for what, value in thinned(list(mutants(manifest, SMALL)), 6 * keep):
        found.append((f"manifest {what}", ("manifest.json", json.dumps(value).encode())))
    lines = gzip.decompress((folder / "rows.jsonl.gz").read_bytes()).splitlines(keepends=True)
    row = json.loads(lines[1])["row"]
    for what, value in thinned(list(mutants(row, SMALL)), 6 * keep):
        found.append((f"row {what}", ("rows.jsonl.gz", gzip.compress(lines[0] + line_of(value) + b"".join(lines[2:])))))
    return thinned(found, keep)


def line_of(row: Any) -> bytes:
    """A line of a journal whose checksum fits, whatever it says."""
    body = json.dumps(row).encode()
    return b'{"sum":"' + hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b'","row":' + body + b"}\n"


def spoil_everything(lab: Lab, keep: int) -> None:
    """Every mutant of every kind meets the commands that read it."""
    for what, text in suite_mutants(keep):
        lab.write("suite.yaml", text)
        assert_told(lab, what, "check", "suite.yaml")
    lab.write("suite.yaml", SUITE)
    for name, rows in (("cases.jsonl", CASES), ("labels.jsonl", LABELS)):
        for what, data in row_mutants(rows, keep):
            lab.write(name, data)
            assert_told(lab, f"{name} {what}", "check", "suite.yaml")
        lab.write(name, jsonl(rows))
    folder = lab.root / "reports" / "baselines" / "main"
    shutil.copytree(folder, lab.root.parent / "saved", dirs_exist_ok=True)
    any_end = (0, 1, 2, 3, 5)
    for what, (name, data) in baseline_mutants(lab.root.parent / "saved", keep):
        shutil.rmtree(folder)
        shutil.copytree(lab.root.parent / "saved", folder)
        (folder / name).unlink() if data is None else (folder / name).write_bytes(data)
        assert_told(lab, what, "check", "suite.yaml")
        for words in (["gate", "old"], ["diff", "old", str(folder)], ["report", str(folder)], ["verify", "main"]):
            assert_told(lab, f"{words[0]}: {what}", *words, codes=any_end)


@pytest.mark.slow
def test_spoilt_input_is_told_or_harmless(sound: Lab) -> None:
    """A sample of all places; the whole of them takes minutes."""
    spoil_everything(sound, keep=24)


def test_no_file_is_too_deep(sound: Lab) -> None:
    """JSON that is nested beyond what can be read, in every file of a run that holds JSON, and in a calibration."""
    folder = sound.root / "reports" / "baselines" / "main"
    for name in ("summary.json", "decision.json", "manifest.json"):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(b"[" * 100_000)
        for words in (["gate", "old"], ["report", str(folder)], ["verify", "main"], ["runs", "capitals"]):
            assert_told(sound, f"{words[0]}: {name}", *words, codes=(0, 1, 2, 3, 5))
        (folder / name).write_bytes(kept)
    sound.write("suite.yaml", SUITE + "calibrations: [deep.json]\n")
    sound.write("deep.json", "[" * 100_000)
    assert_told(sound, "calibration", "check", "suite.yaml", codes=(2,))


@pytest.mark.long
def test_every_place_spoilt(sound: Lab) -> None:
    """Every place and every byte."""
    spoil_everything(sound, keep=10_000)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)
EASY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@EASY
@given(st.text(max_size=300) | values.map(lambda value: f"so: {json.dumps(value)} end"))
def test_any_reply_of_a_judge_is_read_or_refused(text: str) -> None:
    """Nothing but a value of the schema or a `ValueError` comes out."""
    from evalkit.scorers.judges.verdicts import verdict_schema

    for schema in (verdict_schema((1, 5), ()), verdict_schema("pass_fail", ())):
        try:
            found = find_value(text, schema)
        except ValueError:
            continue
        assert isinstance(found, schema)


@EASY
@given(st.text(max_size=200))
def test_any_text_in_markdown_is_one_harmless_line(text: str) -> None:
    """No line break, no tag, no image, no mention, no fence that ends early."""
    for safe in (plain(text), code(text), code(text, in_table=True), one_line(text)):
        assert len(safe.splitlines()) <= 1
    prose = plain(text).replace("<span>$</span>", "$")
    assert "<" not in prose
    assert "![" not in prose.replace("\\!", "").replace("\\[", "")
    assert "|" not in code(text, in_table=True)
    span = code(text)
    fence = span[: len(span) - len(span.lstrip("`"))]
    assert not fence or fence not in span[len(fence) : -len(fence)]


@EASY
@given(values)
def test_any_line_of_a_journal_is_a_row_or_none(value: Any) -> None:
    """A checksum that fits proves nothing about the content."""
    try:
        line = line_of({"v": 1, "repeat": 0, "case": value, "scores": value})
    except ValueError:
        return
    assert isinstance(decode_row(line), Row | None)


@EASY
@given(
    st.dictionaries(
        st.sampled_from(["name", "golden", "system", "scorers", "gate", "judge", "labels", "seed", "x"]), values
    )
)
def test_any_suite_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]) -> None:
    """Problems with places, or a suite."""
    from evalkit.suite.parse import load_suite

    root = tmp_path_factory.getbasetemp() / "any"
    root.mkdir(exist_ok=True)
    (root / "pyproject.toml").touch()
    (root / "any.yaml").write_text(yaml.safe_dump(value), encoding="utf-8", errors="replace")
    try:
        load_suite(root / "any.yaml", "any.yaml")
    except InputError as error:
        assert all(problem.place.startswith("any.yaml") or problem.place for problem in error.problems)
