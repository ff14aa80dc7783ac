"""Tests for entailment by a local model: the order of its classes, windows, and what is refused.

`transformers` and `torch` are replaced by modules with the same calls, which misbehave as real models do.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import evalkit
from evalkit.errors import InputError
from evalkit.guard.levels import GuardModels, NliLevel
from evalkit.guard.settings import GuardSettings, LevelThresholds, Promise, guard_text
from evalkit.runner.grading import Grader, grade_all
from evalkit.scorers.base import Services
from evalkit.scorers.judges import local_entailment
from evalkit.scorers.judges.consistency import Consistency
from evalkit.scorers.judges.local_entailment import PROBES, LocalEntailment, NliModel, load_entailment
from evalkit.types import Case, Output

XLARGE = {0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"}
CROSS_ENCODER = {0: "contradiction", 1: "entailment", 2: "neutral"}
MORITZ = {0: "entailment", 1: "neutral", 2: "contradiction"}
WINDOW = 40


class Tensor:
    """The part of a tensor that is used."""

    def __init__(self, rows: Any) -> None:
        self.rows = np.asarray(rows)

    def __getitem__(self, at: Any) -> Tensor:
        return Tensor(self.rows[at])

    def __iter__(self) -> Any:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def float(self) -> Tensor:
        """Return it as it is."""
        return self

    def softmax(self, axis: int) -> Tensor:
        """Return probabilities."""
        powers = np.exp(self.rows - self.rows.max(axis=axis, keepdims=True))
        return Tensor(powers / powers.sum(axis=axis, keepdims=True))

    def tolist(self) -> Any:
        """Return lists."""
        return self.rows.tolist()


class FakeTokenizer:
    """Cuts the premise into overlapping windows of words, as a fast tokenizer does; ids stand for windows."""

    is_fast = True

    def __init__(self, most: float) -> None:
        self.model_max_length = most
        self.seen: list[tuple[str, str]] = []

    def __call__(self, premises: Sequence[str], claims: Sequence[str], **given: Any) -> dict[str, Any]:
        """Return windows."""
        assert given["truncation"] == "only_first"
        assert given["return_overflowing_tokens"] and given["padding"] and given["return_tensors"] == "pt"
        ids, pair_of = [], []
        for n, (premise, claim) in enumerate(zip(premises, claims, strict=True)):
            room = given["max_length"] - len(claim.split()) - 3
            if room <= given["stride"]:
                raise Exception("Truncation error: Sequence to truncate too short to respect the provided max_length")
            words = premise.split()
            starts = range(0, max(len(words) - given["stride"], 1), room - given["stride"])
            for start in starts:
                self.seen.append((" ".join(words[start : start + room]), claim))
                ids.append(len(self.seen) - 1)
                pair_of.append(n)
        return {"input_ids": Tensor(ids), "overflow_to_sample_mapping": Tensor(pair_of)}


Rule = Callable[[str, str], int]
"""(premise, claim) -> 0 entailment, 1 neutral, 2 contradiction."""


def by_words(premise: str, claim: str) -> int:
    """The probes, and whether the words of a claim are in the premise; `not` before the last word denies it."""
    known = {(each, said): label for each, said, label in PROBES}
    if (premise, claim) in known:
        return known[premise, claim]
    has, wants = set(premise.lower().split()), set(claim.lower().split())
    if wants <= has:
        return 0
    return 2 if f"no-{claim.lower().split()[-1]}" in has else 1


class FakeNli:
    """A classifier whose columns are in the order of `columns`, and whose names are `id2label`."""

    def __init__(self, tokenizer: FakeTokenizer, rule: Rule, columns: dict[int, str], names: dict[Any, str]) -> None:
        self.config = SimpleNamespace(id2label=names, max_position_embeddings=514)
        self._tokenizer, self._rule = tokenizer, rule
        self._columns = {str(name).lower(): at for at, name in columns.items()}

    def float(self) -> FakeNli:
        """Return it as it is."""
        return self

    def eval(self) -> FakeNli:
        """Return it as it is."""
        return self

    def __call__(self, input_ids: Tensor) -> Any:
        """Return logits."""
        rows = []
        for at in input_ids:
            said = ("entailment", "neutral", "contradiction")[self._rule(*self._tokenizer.seen[int(at)])]
            row = [0.0, 0.0, 0.0]
            row[self._columns[said]] = 4.0
            rows.append(row)
        return SimpleNamespace(logits=Tensor(rows))


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Put a model in a folder, and the two packages where they are imported from."""

    def make(
        columns: dict[int, str],
        names: dict[Any, str] | None = None,
        rule: Rule = by_words,
        most: float = 512,
        fast: bool = True,
    ) -> dict[str, Any]:
        asked: dict[str, Any] = {}
        tokenizer = FakeTokenizer(most)
        tokenizer.is_fast = fast
        model = FakeNli(tokenizer, rule, columns, columns if names is None else names)

        class AutoTokenizer:
            @staticmethod
            def from_pretrained(name: str, **given: Any) -> Any:
                asked.update(given, name=name)
                return tokenizer

        class AutoModelForSequenceClassification:
            @staticmethod
            def from_pretrained(name: str, **given: Any) -> Any:
                asked.update(given)
                if name.endswith("broken"):
                    raise OSError("no file named model.safetensors")
                return model

        class NoGrad:
            def __enter__(self) -> None:
                return None

            def __exit__(self, *_: object) -> None:
                return None

        transformers, torch = ModuleType("transformers"), ModuleType("torch")
        transformers.__spec__, torch.__spec__ = ModuleSpec("transformers", None), ModuleSpec("torch", None)
        transformers.AutoTokenizer = AutoTokenizer  # type: ignore[attr-defined]
        transformers.AutoModelForSequenceClassification = AutoModelForSequenceClassification  # type: ignore[attr-defined]
        torch.no_grad = NoGrad  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "transformers", transformers)
        monkeypatch.setitem(sys.modules, "torch", torch)
        folder = tmp_path / "nli"
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text("{}", encoding="utf-8")
        (folder / "model.safetensors").write_bytes(b"weights")
        asked["tokenizer"] = tokenizer
        return asked

    return make


def loaded(root: Path, **given: Any) -> LocalEntailment:
    """Load the model of the fixture."""
    return load_entailment(NliModel(**{"path": "nli", **given}), root, "nli")


@pytest.mark.parametrize("columns", [XLARGE, CROSS_ENCODER, MORITZ])
def test_the_classes_are_found_by_their_names(install: Any, tmp_path: Path, columns: dict[int, str]) -> None:
    """The three orders of well-known models give the same probabilities."""
    asked = install(columns)
    model = loaded(tmp_path)
    found = model.entail([("the fee is 10", "the fee"), ("the fee", "a dog"), ("no-dog here", "a dog")])
    assert [max(range(3), key=lambda at: row[at]) for row in found] == [0, 1, 2]
    assert all(sum(row) == pytest.approx(1) for row in found)
    assert (asked["use_safetensors"], asked["trust_remote_code"], asked["local_files_only"]) == (True, False, True)
    assert "revision" not in asked


@pytest.mark.parametrize("columns", [XLARGE, CROSS_ENCODER, MORITZ])
@pytest.mark.parametrize("names", [XLARGE, CROSS_ENCODER, MORITZ])
def test_a_model_whose_names_are_wrong_is_refused(
    install: Any, tmp_path: Path, columns: dict[int, str], names: dict[int, str]
) -> None:
    """The trap: it loads, it answers, and everything means something else. Three fixed pairs show it."""
    install(columns, names)
    if columns == names:
        assert loaded(tmp_path).entail([("a dog", "a dog")])[0][0] > 0.9
        return
    with pytest.raises(InputError, match="may be swapped"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ({0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}, "its classes are 0 LABEL_0, 1 LABEL_1, 2 LABEL_2"),
        ({0: "entailment", 1: "not_entailment"}, "not_entailment; expected entailment, neutral, contradiction"),
        ({0: "entailment", 1: "entail", 2: "neutral"}, "expected entailment, neutral, contradiction"),
        ({}, "its classes are"),
    ],
)
def test_classes_without_the_three_names_are_refused(install: Any, tmp_path: Path, names: Any, why: str) -> None:
    """Nothing is guessed from their number."""
    install(MORITZ, names)
    with pytest.raises(InputError) as caught:
        loaded(tmp_path)
    assert why in str(caught.value)


def test_keys_of_id2label_may_be_texts(install: Any, tmp_path: Path) -> None:
    """JSON has no whole numbers as keys."""
    install(CROSS_ENCODER, {"0": "contradiction", "1": "entailment", "2": "neutral"})
    assert loaded(tmp_path).entail([("a dog", "a dog")])[0][0] > 0.9


def test_a_long_premise_is_read_in_windows(install: Any, tmp_path: Path) -> None:
    """The support is at the end of 300 words; no window is longer than the model reads."""
    asked = install(MORITZ, most=WINDOW)
    model = loaded(tmp_path)
    filler = " ".join(f"word{n}" for n in range(300))
    found = model.entail(
        [(f"{filler} the fee is ten", "the fee is ten"), (f"no-cat {filler}", "a cat"), (filler, "a cow")]
    )
    assert [max(range(3), key=lambda at: row[at]) for row in found] == [0, 2, 1]
    seen = asked["tokenizer"].seen
    assert max(len(premise.split()) + len(claim.split()) for premise, claim in seen) <= WINDOW
    assert len(seen) > 30


def test_a_window_that_supports_outweighs_one_that_denies(install: Any, tmp_path: Path) -> None:
    """Passages may speak of several things."""
    install(MORITZ, most=WINDOW)
    filler = " ".join(f"word{n}" for n in range(100))
    (row,) = loaded(tmp_path).entail([(f"no-dog {filler} a dog", "a dog")])
    assert row[0] > 0.9


def test_a_claim_that_is_too_long_is_an_error(install: Any, tmp_path: Path) -> None:
    """It is not cut in silence."""
    install(MORITZ, most=WINDOW)
    with pytest.raises(ValueError, match="cannot be read in 40 tokens"):
        loaded(tmp_path).entail([("a dog", "long " * 60)])


def test_a_tokenizer_without_a_length_takes_that_of_the_model(install: Any, tmp_path: Path) -> None:
    """RoBERTa has 514 positions, of which 512 are tokens."""
    install(MORITZ, most=1e30)
    assert loaded(tmp_path)._most == 512


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"path": "org/model"}, "has no revision; name the folder, or add `revision:`"),
        ({"path": "broken", "revision": "a" * 40}, "cannot be loaded: OSError: no file named model.safetensors"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_named(install: Any, tmp_path: Path, given: Any, why: str) -> None:
    """With what to do."""
    install(MORITZ)
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, **given)
    assert why in str(caught.value)


def test_a_model_of_a_hub_is_pinned(install: Any, tmp_path: Path) -> None:
    """Its commit is asked for and is part of the key."""
    asked = install(MORITZ)
    model = loaded(tmp_path, path="org/model", revision="b" * 40)
    assert (asked["revision"], asked["local_files_only"]) == ("b" * 40, False)
    assert model.key == {"nli": f"org/model {'b' * 40}"}


def test_a_slow_tokenizer_is_refused(install: Any, tmp_path: Path) -> None:
    """It has no windows."""
    install(MORITZ, fast=False)
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        loaded(tmp_path)


def test_without_the_packages_the_command_that_installs_them_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The versions are those of the extra."""
    monkeypatch.setattr(local_entailment, "find_spec", lambda name: None)
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    bounds = tomllib.loads(pyproject)["project"]["optional-dependencies"]["nli"]
    with pytest.raises(InputError) as caught:
        loaded(tmp_path)
    command = f"pip install {' '.join(map(shlex.quote, bounds))}"
    assert f"transformers is not installed; run: {command}" in str(caught.value)
    assert command in (Path(__file__).parents[2] / "docs" / "hallucinations.md").read_text(encoding="utf-8")


def test_a_gate_on_a_scorer_that_cannot_be_opened_is_no_second_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metric is known; a misspelt one is still reported."""
    monkeypatch.setattr(local_entailment, "find_spec", lambda name: None)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "golden.jsonl").write_text('{"id": "a", "input": "q"}\n', encoding="utf-8")
    (tmp_path / "bot.py").write_text("def answer(input: str) -> str:\n    return input\n", encoding="utf-8")
    text = """\
name: offline
golden: golden.jsonl
system: {python: "bot:answer"}
scorers: [{consistency: {samples: 5, nli: {path: models/nli}}}]
gate: [{consistency: {min: 0.8}}, {consistency.entropy: {max: 0.5}}, {consistncy: {min: 0.8}}]
"""
    (tmp_path / "suite.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        evalkit.run(tmp_path / "suite.yaml", out=tmp_path / "run", baseline="none")
    said = str(caught.value)
    assert "transformers is not installed" in said
    assert "gate[2]: unknown metric `consistncy`" in said
    assert "unknown metric `consistency" not in said


@pytest.mark.parametrize("given", [{"path": " "}, {"path": "a", "revision": "main"}])
def test_options_that_name_nothing_are_refused(given: dict[str, str]) -> None:
    """A branch is not a revision: it moves."""
    with pytest.raises(ValueError, match=r"write|name"):
        NliModel(**given)


def test_other_weights_are_another_key(install: Any, tmp_path: Path) -> None:
    """Thresholds and scores depend on them."""
    install(MORITZ)
    before = loaded(tmp_path).key
    (tmp_path / "nli" / "model.safetensors").write_bytes(b"others")
    assert loaded(tmp_path).key != before


def test_consistency_works_with_a_local_model(install: Any, tmp_path: Path) -> None:
    """Without any judge; the question is read before each answer."""
    install(MORITZ)
    bound = Consistency(samples=1, nli=NliModel(path="nli")).bind(Services(tmp_path))

    async def again(case: Case, repeat: int) -> Output:
        return Output(text="from nine no-noon")

    grade = grade_all([Grader(bound)], again)
    found = asyncio.run(grade(Case(id="1", input="when"), Output(text="from nine\n\nuntil noon"), 0))
    score, entropy = found["consistency"], found["consistency.entropy"]
    assert score.value == pytest.approx(0.509, abs=0.01)  # type: ignore[union-attr]
    assert entropy.value == 1.0  # type: ignore[union-attr]
    assert bound.key_parts.keys() == {"nli"}
    assert bound.metrics[0].judge == "nli:nli"


def test_a_guard_asks_the_local_model(install: Any, tmp_path: Path) -> None:
    """Sentence by sentence, in every context; it decides below the budget of a judge."""
    install(XLARGE)
    nli = NliModel(path="nli")
    level = next(each for each in GuardModels(nli=nli, root=tmp_path).levels("--nli") if isinstance(each, NliLevel))
    thresholds = LevelThresholds(key=dict(level.key), n_good=1, n_bad=1, pass_from=0.9, block_below={"": 0.3})
    promise = Promise(false_block=0.05, bad_passed=0.05)
    settings = GuardSettings(promise=promise, levels={"nli": thresholds}, nli=nli)
    (tmp_path / "guard.json").write_text(guard_text(settings), encoding="utf-8")
    guard = evalkit.guard.load(tmp_path / "guard.json")

    async def check(answer: str, contexts: list[str]) -> tuple[Any, ...]:
        found = await guard.check("?", answer, contexts, budget_ms=60_000)
        return found.action, found.score, found.level, [claim.verdict for claim in found.claims], found.error

    contexts = ["nothing here", "the fee is ten", "no-cat"]
    assert asyncio.run(check("The fee is ten", contexts)) == ("pass", 1.0, "nli", ["supported"], "")
    assert asyncio.run(check("The fee is ten. A cat.", contexts))[:2] == ("block", 0.0)
    assert asyncio.run(check("The fee is ten. A cow.", contexts))[:2] == ("warn", 0.5)
    assert asyncio.run(check("A cow.", []))[4].startswith("missing_contexts")
    assert "at most 1000" in asyncio.run(check("A cow. " * 400, contexts))[4]
    record = json.loads((tmp_path / "guard.json").read_text(encoding="utf-8"))
    record["levels"]["nli"]["key"]["nli"] = "0" * 16
    (tmp_path / "guard.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(InputError, match=r"thresholds of nli belong to other scores \(nli\)"):
        evalkit.guard.load(tmp_path / "guard.json")
