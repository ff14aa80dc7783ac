"""Decide entailment with a local model (extra `nli`); no text leaves the machine."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from evalkit.disk.files import sha256_of
from evalkit.errors import InputError, Problem
from evalkit.scorers.judges.entailment import Relation
from evalkit.scorers.judges.prompt import question_text
from evalkit.text.values import one_line
from evalkit.types import Case, Unscored

Probabilities = tuple[float, float, float]
"""Of entailment, neutral and contradiction."""
NAMES = ("entailment", "neutral", "contradiction")
_SPELLINGS = {
    "entailment": 0,
    "entail": 0,
    "entails": 0,
    "neutral": 1,
    "contradiction": 2,
    "contradict": 2,
    "contradicts": 2,
}
PROBES: tuple[tuple[str, str, int], ...] = (
    ("A man is eating a pizza in the park.", "A man is eating food.", 0),
    ("A man is eating a pizza in the park.", "The man has two sisters who live in Norway.", 1),
    ("A man is eating a pizza in the park.", "Nobody is eating anything.", 2),
)
"""Premise, claim, and the class that every usable model gives them."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
BATCH = 16
STRIDE = 64
"""Tokens that neighbouring windows of a long premise share."""
MOST_TOKENS = 4_096
_MADE_UP_LENGTH = 100_000
"""Some tokenizers state a length of 10^30 for none."""


@dataclass(frozen=True, kw_only=True)
class NliModel:
    """A local model that decides entailment."""

    path: str
    """Folder of the model, or its name on a hub; weights in safetensors alone are read."""
    revision: str | None = None
    """Commit (40 hex digits) of a model on a hub."""

    def __post_init__(self) -> None:
        if not self.path.strip():
            raise ValueError("path: empty; name the folder of the model")
        if self.revision is not None and not _COMMIT.fullmatch(self.revision):
            raise ValueError(f"revision: {self.revision!r} is not a commit; write its 40 hex digits")


class LocalEntailment:
    """A loaded model; use `load_entailment`."""

    def __init__(self, tokenizer: Any, model: Any, order: Sequence[int], key: Mapping[str, str]) -> None:
        self._tokenizer, self._model, self._order = tokenizer, model, tuple(order)
        self._most = _window(tokenizer, model)
        self._lock = Lock()
        self.key = key
        """Everything that its probabilities depend on."""

    def entail(self, pairs: Sequence[tuple[str, str]]) -> list[Probabilities]:
        """Return the probabilities of entailment, neutral and contradiction for each (premise, claim).

        A premise that is longer than the model reads is cut into windows that overlap, each with the whole claim. The
        window that entails the claim decides; if none does, the one that contradicts it; else the one nearest to
        entailment.

        Raises:
            ValueError: a claim alone is longer than the model reads.
        """
        found: list[Probabilities] = []
        for at in range(0, len(pairs), BATCH):
            found += self._batch(pairs[at : at + BATCH])
        return found

    def _batch(self, pairs: Sequence[tuple[str, str]]) -> list[Probabilities]:
        import torch

        with self._lock, torch.no_grad():
            try:
                inputs = self._tokenizer(
                    [premise for premise, _ in pairs],
                    [claim for _, claim in pairs],
                    truncation="only_first",
                    max_length=self._most,
                    stride=min(STRIDE, self._most // 4),
                    return_overflowing_tokens=True,
                    padding=True,
                    return_tensors="pt",
                )
            except Exception as error:
                raise ValueError(f"a claim cannot be read in {self._most} tokens: {one_line(error)}") from None
            pair_of = [int(n) for n in inputs.pop("overflow_to_sample_mapping")]
            windows: list[list[Probabilities]] = [[] for _ in pairs]
            for at in range(0, len(pair_of), BATCH):
                part = {name: value[at : at + BATCH] for name, value in inputs.items()}
                rows = self._model(**part).logits.float().softmax(-1).tolist()
                for n, row in zip(pair_of[at : at + BATCH], rows, strict=True):
                    windows[n].append((row[self._order[0]], row[self._order[1]], row[self._order[2]]))
        return [deciding(each) for each in windows]


def deciding(windows: Sequence[Probabilities]) -> Probabilities:
    """Return the probabilities of the window, or passage, that decides."""
    entails = max(windows, key=lambda each: each[0])
    denies = max(windows, key=lambda each: each[2])
    return denies if denies[2] > max(denies[:2]) and entails[0] <= max(entails[1:]) else entails


@dataclass(frozen=True)
class NliEntailer:
    """Decides entailment between answers with a local model; each is read after the question."""

    model: LocalEntailment
    metric: str
    """Named in failures."""

    async def relate(self, case: Case, first: str, second: str) -> Relation | Unscored:
        """Return how `second` relates to `first`."""
        asked = question_text(case)
        try:
            (found,) = await asyncio.to_thread(self.model.entail, [(f"{asked} {first}", f"{asked} {second}")])
        except ValueError as error:
            return Unscored(self.metric, "nli_too_long", str(error))
        return Relation(*found)


def load_entailment(options: NliModel, root: Path, place: str) -> LocalEntailment:
    """Load a model, find the order of its classes by their names, and try it on three fixed pairs.

    Args:
        options: the model.
        root: folder that a path is relative to.
        place: key of the suite, for messages.

    Raises:
        InputError: the packages are missing, the model cannot be loaded, its classes have no names or other ones, or it
            gets one of the fixed pairs wrong.
    """
    for package in ("transformers", "torch"):
        if find_spec(package) is None:
            raise InputError(
                Problem(
                    place,
                    f"{package} is not installed",
                    "run: pip install 'transformers>=4.41,<6' 'torch>=2.2,<3' 'huggingface-hub<2'",
                )
            )
    folder = root / options.path
    is_local = folder.is_dir()
    if not is_local and options.revision is None:
        what = f"{options.path} is not a folder, and as a model of a hub it has no revision"
        raise InputError(Problem(place, what, "name the folder, or add `revision:` with the commit"))
    tokenizer, model = _loaded(str(folder) if is_local else options.path, options, is_local, place)
    order = _class_order(model, place)
    key = _weights_key(folder) if is_local else {"nli": f"{options.path} {options.revision}"}
    found = LocalEntailment(tokenizer, model, order, key)
    _try(found, place)
    return found


def _loaded(name: str, options: NliModel, is_local: bool, place: str) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    given: dict[str, Any] = {"local_files_only": is_local, "trust_remote_code": False}
    if not is_local:
        given["revision"] = options.revision
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **given)
        model = AutoModelForSequenceClassification.from_pretrained(name, use_safetensors=True, **given)
    except Exception as error:
        what = f"{options.path} cannot be loaded: {type(error).__name__}: {one_line(error)}"
        raise InputError(Problem(place, what, "name a sequence classifier with weights in safetensors")) from None
    if not getattr(tokenizer, "is_fast", False):
        what = "its tokenizer cannot cut a premise into windows"
        raise InputError(Problem(place, what, "use a model with a tokenizer.json"))
    model.float().eval()
    return tokenizer, model


def _class_order(model: Any, place: str) -> tuple[int, ...]:
    """Return the indices of entailment, neutral and contradiction, by the names in the model's configuration."""
    names = {int(at): str(name) for at, name in dict(model.config.id2label).items()}
    found = {_SPELLINGS[name.casefold()]: at for at, name in names.items() if name.casefold() in _SPELLINGS}
    if len(names) != len(NAMES) or len(found) != len(NAMES):
        said = ", ".join(f"{at} {name}" for at, name in sorted(names.items()))
        what = f"its classes are {said}; expected {', '.join(NAMES)}"
        raise InputError(Problem(place, what, "use a model whose config.json names these three in `id2label`"))
    return tuple(found[at] for at in range(len(NAMES)))


def _try(model: LocalEntailment, place: str) -> None:
    """Reject a model that gets a fixed pair wrong: its weights or the names of its classes are not what they seem."""
    found = model.entail([(premise, claim) for premise, claim, _ in PROBES])
    for (premise, claim, expected), given in zip(PROBES, found, strict=True):
        likeliest = max(range(len(NAMES)), key=lambda at: given[at])
        if likeliest != expected:
            what = f"it says {NAMES[likeliest]} of {premise!r} and {claim!r}, which is {NAMES[expected]}"
            raise InputError(Problem(place, what, "the names in its `id2label` may be swapped; use another model"))


def _window(tokenizer: Any, model: Any) -> int:
    """Return how many tokens the model reads at once."""
    stated = getattr(tokenizer, "model_max_length", None)
    if isinstance(stated, int | float) and 0 < stated < _MADE_UP_LENGTH:
        return int(min(stated, MOST_TOKENS))
    positions = getattr(model.config, "max_position_embeddings", None)
    return min(int(positions) - 2, MOST_TOKENS) if isinstance(positions, int) and positions > STRIDE else 512


def _weights_key(folder: Path) -> Mapping[str, str]:
    """Return one hash over the configuration and the weights of a local model."""
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return {"nli": digest.hexdigest()[:16]}
