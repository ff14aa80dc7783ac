"""Train the local judge of correctness, measure it by grouped cross-validation, and write its coefficients.

Usage: python benchmarks/train_local_judge.py judged.jsonl --name NQ301 [--write]

Each row holds `group`, `input`, `reference` (string or list), `output`, `human.correct`, and in `cohorts.answer_form`
whether the answer is short or long. Rows of one group share a question: folds and intervals go by group. Token F1
(SQuAD) at the threshold that is best on the very rows it is measured on is printed as the figure to beat, and so are
other judges stored with the rows (`judges`: verdicts, or a probability read at .5).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evalkit.scorers.embedding.embedders import WordLlama
from evalkit.scorers.judges.answer_features import features

JUDGE_VERSION = "1"
"""Raise it with every change of the features or of the coefficients."""
FEATURES = ("meaning", "wording")
SETTINGS = {"C": 1.0, "folds": 5, "repeats": 10, "bootstrap": 2000, "calibration_bins": 10, "seed": 7}
OUT = Path(__file__).parents[1] / "evalkit" / "scorers" / "judges" / "local_judge.json"
LABEL = "human.correct"
NOTE = "the features were chosen while looking at these rows, so the cross-validated figures lean to the good side"

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Data:
    """Judged answers."""

    rows: Sequence[Mapping[str, Any]]
    vectors: Sequence[Floats]
    """Per row, features against each of its references: shape (references, 2)."""
    labels: Bools
    groups: npt.NDArray[np.str_]
    forms: npt.NDArray[np.str_]

    @property
    def best(self) -> Floats:
        """Features against the reference that is nearest, shape (rows, 2)."""
        return np.array([vector[vector.sum(axis=1).argmax()] for vector in self.vectors])


def references_of(row: Mapping[str, Any]) -> list[str]:
    """The acceptable answers that hold any text."""
    given = row["reference"]
    return [text for text in ([given] if isinstance(given, str) else given) if text.strip()]


def read(path: Path) -> Data:
    """Read the judged answers and compute their features."""
    embedding = WordLlama()
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return Data(
        rows=rows,
        vectors=[vectors_of(row, embedding) for row in rows],
        labels=np.array([row["human"]["correct"] for row in rows]),
        groups=np.array([row["group"] for row in rows]),
        forms=np.array([row["cohorts"]["answer_form"] for row in rows]),
    )


def vectors_of(row: Mapping[str, Any], embedding: WordLlama) -> Floats:
    """Features of one answer against each of its references."""
    found = [features(row["input"], text, row["output"], embedding) for text in references_of(row)]
    return np.array([[one.meaning, one.wording] for one in found])


def fit(vectors: Floats, labels: Bools) -> Floats:
    """Intercept and one weight for each feature."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=SETTINGS["C"], tol=1e-8, max_iter=1000).fit(vectors, labels)
    return np.array([*model.intercept_, *model.coef_[0]])


def probabilities(vectors: Sequence[Floats], weights: Floats) -> Floats:
    """P(correct) of each answer, best over its references."""
    return np.array([1 / (1 + np.exp(-(weights[0] + vector @ weights[1:]).max())) for vector in vectors])


def out_of_fold(data: Data) -> Floats:
    """P(correct) by models that saw no answer to the same question: shape (repeats, rows)."""
    from sklearn.model_selection import StratifiedGroupKFold

    held_out = np.zeros((int(SETTINGS["repeats"]), len(data.rows)))
    for repeat, row in enumerate(held_out):
        folds = StratifiedGroupKFold(int(SETTINGS["folds"]), shuffle=True, random_state=int(SETTINGS["seed"]) + repeat)
        for train, test in folds.split(data.best, data.labels, data.groups):
            weights = fit(data.best[train], data.labels[train])
            row[test] = probabilities([data.vectors[index] for index in test], weights)
    return held_out


def kappa(labels: Bools, verdicts: Bools) -> Floats:
    """Cohen's kappa of each row of `verdicts` (repeats, rows) with the labels."""
    agree = (verdicts == labels).mean(axis=-1)
    people, judge = labels.mean(), verdicts.mean(axis=-1)
    chance = people * judge + (1 - people) * (1 - judge)
    return np.asarray((agree - chance) / (1 - chance))


def figures(data: Data, chosen: Bools, verdicts: Bools) -> dict[str, Any]:
    """Mean kappa over the repeats with a 95 % interval that resamples questions."""
    value = float(kappa(data.labels[chosen], verdicts[:, chosen]).mean())
    draws = resampled(data, chosen, [verdicts])[:, 0]
    return {"kappa": interval(value, draws), "rows": int(chosen.sum()), "groups": len(set(data.groups[chosen]))}


def interval(value: float, draws: Floats) -> dict[str, float]:
    """Value with its percentile interval."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return {"value": round(value, 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def resampled(data: Data, chosen: Bools, judges: Sequence[Bools]) -> Floats:
    """Kappa of each judge on bootstrap samples of questions: shape (draws, judges)."""
    random = np.random.default_rng(int(SETTINGS["seed"]))
    places = np.flatnonzero(chosen)
    members = [places[data.groups[places] == group] for group in sorted(set(data.groups[places]))]
    draws = []
    for _ in range(int(SETTINGS["bootstrap"])):
        sample = np.concatenate([members[index] for index in random.integers(len(members), size=len(members))])
        draws.append([kappa(data.labels[sample], judge[:, sample]).mean() for judge in judges])
    return np.array(draws)


def calibration_error(labels: Bools, given: Floats) -> float:
    """Expected calibration error over bins of equal width."""
    bins = int(SETTINGS["calibration_bins"])
    places = np.minimum((given * bins).astype(int), bins - 1)
    gaps = [abs((labels[places == place] - given[places == place]).sum()) for place in range(bins)]
    return round(float(sum(gaps) / len(labels)), 3)


def token_f1(answer: str, reference: str) -> float:
    """Token F1 as SQuAD computes it."""
    sides = [squad_tokens(answer), squad_tokens(reference)]
    shared = sum((Counter(sides[0]) & Counter(sides[1])).values())
    return 2 * shared / (len(sides[0]) + len(sides[1])) if shared else 0.0


def squad_tokens(text: str) -> list[str]:
    """Lower case, no punctuation, no articles."""
    plain = "".join(char for char in text.lower() if char not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def best_f1_verdicts(data: Data, chosen: Bools) -> Bools:
    """Verdicts of token F1 at the threshold that is best on the chosen rows themselves: shape (1, rows)."""
    scores = np.array([max(token_f1(row["output"], text) for text in references_of(row)) for row in data.rows])
    cuts = np.unique(scores[chosen])
    found = kappa(data.labels[chosen], scores[chosen] >= cuts[:, np.newaxis])
    return (scores >= cuts[found.argmax()])[np.newaxis]


def stored_verdicts(data: Data) -> dict[str, Bools]:
    """Verdicts of the judges that are stored with the rows; no verdict counts as "wrong" here."""
    names = sorted({name for row in data.rows for name in row.get("judges", {})})
    return {name: np.array([[(row["judges"].get(name) or 0) >= 0.5 for row in data.rows]]) for name in names}


def measure(data: Data) -> dict[str, Any]:
    """All figures, for all answers and by their form."""
    held_out = out_of_fold(data)
    verdicts = held_out >= 0.5
    everything = np.ones(len(data.rows), dtype=bool)
    measured: dict[str, Any] = {}
    for form, chosen in {"all": everything, "short": data.forms == "short", "long": data.forms == "long"}.items():
        f1 = best_f1_verdicts(data, chosen)
        draws = resampled(data, chosen, [verdicts, f1])
        gain = kappa(data.labels[chosen], verdicts[:, chosen]).mean() - kappa(data.labels[chosen], f1[:, chosen])[0]
        measured[form] = figures(data, chosen, verdicts) | {
            "calibration_error": calibration_error(data.labels[chosen], held_out.mean(axis=0)[chosen]),
            "token_f1_best": figures(data, chosen, f1)["kappa"],
            "gain_over_token_f1": interval(float(gain), draws[:, 0] - draws[:, 1]),
            "other_judges": {name: figures(data, chosen, v)["kappa"] for name, v in stored_verdicts(data).items()},
        }
    return measured


def document(data: Data, path: Path, name: str) -> dict[str, Any]:
    """What `local_judge.json` holds."""
    weights = fit(data.best, data.labels)
    return {
        "version": JUDGE_VERSION,
        "trained": datetime.now(UTC).date().isoformat(),
        "coefficients": dict(zip(("intercept", *FEATURES), (round(float(w), 6) for w in weights), strict=True)),
        "data": {
            "name": name,
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "rows": len(data.rows),
            "groups": len(set(data.groups)),
            "label": LABEL,
            "share_correct": round(float(data.labels.mean()), 3),
        },
        "settings": SETTINGS,
        "embedding": WordLlama.name,
        "versions": {package: version(package) for package in ("scikit-learn", "numpy", "wordllama", "rapidfuzz")},
        "note": NOTE,
        "figures": measure(data),
    }


def main() -> None:
    """Train, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--name", required=True, help="how the data are called in texts")
    parser.add_argument("--write", action="store_true", help=f"replace {OUT.name}")
    options = parser.parse_args()
    text = json.dumps(document(read(options.data), options.data, options.name), indent=2) + "\n"
    print(text, end="")
    if options.write:
        OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
