"""Score an answer by the facts it must name and the words it must not use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evalkit.scorers.rules.normalise import fold, has_words, join_thousands
from evalkit.scorers.rules.reading import signs_joined, without_marks
from evalkit.scorers.rules.rule import Share, case_texts, check_share, has_texts, shown
from evalkit.types import Case, Metric, Output, Score, Unscored


@dataclass(frozen=True, kw_only=True)
class Keywords(Share):
    """Measure the share of a case's required keywords that the answer contains; a forbidden one fails it.

    The value is the share of required entries found, 0 to 1 (1 if the list is empty). The answer passes if that reaches
    `min_recall` and no forbidden entry is found. An entry may give alternatives: `30 days|thirty days|one month`. Whole
    words are compared; case, Unicode form, line breaks and thousands separators do not matter (`10,000`, `10 000` and
    `10000` are equal), nor does Markdown emphasis (`**30** days`), a space between a number and its sign or unit
    (`5 %`, `$ 5`, `3kg`), or a particle that is attached to the entry in Korean, Hebrew or Arabic. An empty answer
    contains nothing.

    It cannot see negation ("no fee of 30 EUR" contains "30 EUR"), inflected forms, or an unlisted paraphrase.
    """

    name: str = "keywords"
    min_recall: float = 1.0
    """Smallest share of required entries that passes."""
    required_field: str | None = "required"
    """Case field with the entries that must be found, [] if a case needs none; null if the cases only forbid."""
    forbidden_field: str | None = "forbidden"
    """Case field with the entries that must not be found; a case may leave it out."""

    version: ClassVar[str] = "3"
    shorthand: ClassVar[str] = "min_recall"

    def __post_init__(self) -> None:
        check_share("min_recall", self.min_recall)
        if self.required_field is None and self.forbidden_field is None:
            raise ValueError("required_field: both fields are null; name the case field that holds the keywords")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The one metric, from 0 to 1."""
        return (Metric(self.name, pass_at=self.min_recall),)

    @property
    def needs(self) -> frozenset[str]:
        """The required keywords, or the forbidden ones if the suite requires none."""
        return frozenset({self.required_field or self.forbidden_field or ""})

    def check_case(self, case: Case) -> None:
        """Reject a row whose keywords are not texts."""
        for field in (self.required_field, self.forbidden_field):
            case_texts(case, field) if field else None

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Look for every entry."""
        absent = sorted(field for field in self.needs if not has_texts(case, field))
        if absent:
            return Unscored(self.name, f"missing_{absent[0]}", f"the case has no `{absent[0]}`")
        required = case_texts(case, self.required_field) if self.required_field else ()
        forbidden = case_texts(case, self.forbidden_field) if self.forbidden_field else ()
        answer = _Answer(output.text)
        missing = [entry for entry in required if not answer.names(entry)]
        wrong = [entry for entry in forbidden if answer.names(entry)]
        recall = 1 - len(missing) / len(required) if required else 1.0
        details = {"missing": missing, "forbidden_found": wrong}
        reason = _reason(len(required), missing, wrong)
        return Score(self.name, recall, recall >= self.min_recall and not wrong, reason, details)


class _Answer:
    """An answer in the forms to search: as written, as read, and with thousands separators removed."""

    def __init__(self, text: str) -> None:
        self._written = fold(text)
        self._read = signs_joined(fold(without_marks(text)))
        self._joined = join_thousands(self._read)

    def names(self, entry: str) -> bool:
        """Return whether the answer contains one of the alternatives of an entry.

        A bare number is searched for in the joined form only: `10` is not in `10 000`. `2 100 mg tablets` is ambiguous.
        """
        return any(map(self._contains, filter(None, map(fold, entry.split("|")))))

    def _contains(self, wanted: str) -> bool:
        read = signs_joined(wanted)
        if has_words(self._joined, join_thousands(read), particles=True):
            return True
        return not wanted.isdigit() and (
            has_words(self._read, read, particles=True) or has_words(self._written, wanted, particles=True)
        )


def _reason(n_required: int, missing: list[str], wrong: list[str]) -> str:
    parts = [f"found {n_required - len(missing)} of {n_required} required" if n_required else "nothing is required"]
    if missing:
        parts.append(f"missing {shown(missing)}")
    if wrong:
        parts.append(f"forbidden found {shown(wrong)}")
    return "; ".join(parts)
