"""Keep what two judges said about the same answers, in `judges.json`: what a change of the judge alone moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from evalkit.disk.json_files import read_json, to_json
from evalkit.disk.writing import replacing
from evalkit.errors import InputError, Problem, StoreError

JUDGES = "judges.json"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeComparison:
    """The grades that the old and the new judge of one metric gave the same answers."""

    metric: str
    old: str
    """Score key of the old judge."""
    new: str
    judges: tuple[str, str]
    """Models, old and new."""
    made: str
    """Time in UTC, ISO 8601."""
    n: int
    """Answers that both graded."""
    n_ungraded: int
    """Answers that the new judge could not grade."""
    old_mean: float
    new_mean: float
    stricter: int
    """Answers with a worse grade than before."""
    milder: int
    p: float | None
    """Of the test that both use the grades equally often; `None` if there are too many distinct grades."""
    test: str

    def shows_change(self, alpha: float = 0.05) -> bool:
        """Return whether the judges differ."""
        return self.p is not None and self.p <= alpha

    @property
    def what(self) -> str:
        """The comparison in words."""
        way = "stricter" if self.stricter > self.milder else "milder" if self.milder > self.stricter else "different"
        verdict = f"the new one is {way}" if self.shows_change() else "no difference shown"
        shown = "unknown" if self.p is None else f"{self.p:.2g}"
        means = f"mean {self.old_mean:.3g} → {self.new_mean:.3g}"
        moved = f"{self.stricter} graded worse and {self.milder} better (p {shown})"
        return f"on the same {self.n} answers, {means}, {moved}: {verdict}"


def read_comparisons(folder: Path) -> tuple[JudgeComparison, ...]:
    """Read the comparisons so far; none without a file.

    Raises:
        InputError: It is not a file that this version reads.
    """
    file = folder / JUDGES
    if not file.is_file():
        return ()
    try:
        raw = read_json(file)
        if raw["format"] == FORMAT:
            return tuple(JudgeComparison(**{**each, "judges": tuple(each["judges"])}) for each in raw["comparisons"])
        what = f"format {raw['format']!r:.20}; this evalkit reads format {FORMAT}"
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        what = f"not a file of comparisons of judges ({type(error).__name__})"
    raise InputError(Problem(str(file), what, "move it away, and run `evalkit monitor rejudge` again"))


def write_comparisons(folder: Path, made: Sequence[JudgeComparison]) -> Path:
    """Add comparisons to the file, atomically, and return it; one of the same two judges is replaced.

    Raises:
        InputError: The file there is not one that this version reads.
        StoreError: It cannot be written.
    """
    kept = {(each.metric, each.old, each.new): each for each in (*read_comparisons(folder), *made)}
    file = folder / JUDGES
    try:
        with replacing(file) as text:
            text.write(to_json({"format": FORMAT, "comparisons": [asdict(each) for each in kept.values()]}))
    except OSError as error:
        raise StoreError.of(file, error, "then run `evalkit monitor rejudge` again") from error
    return file
