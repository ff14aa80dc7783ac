"""Score an answer by the literal texts it contains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evalkit.scorers.rules.normalise import collapse, compatible, fold, has_words
from evalkit.scorers.rules.reading import signs_joined, without_marks
from evalkit.scorers.rules.rule import PassFail, case_texts, has_texts, shown
from evalkit.types import Case, Output, Score, Unscored


@dataclass(frozen=True, kw_only=True)
class Contains(PassFail):
    """Pass an answer that contains the wanted texts and no forbidden one.

    The value is 1 or 0. The answer passes if it contains every text of `all`, at least one of `any` and no text of
    `none`. Each list joins the texts of the option and those of the case field named beside it. Unicode forms and runs
    of white space count as equal, and so does a space between a number and its sign or unit (`5 %`, `$ 5`, `3kg`). The
    answer is searched both as written and without its Markdown emphasis, so that `30 days` and `**` are both found in
    `**30** days`. An empty answer contains nothing, so it passes only if `none` alone is used.

    It cannot see negation or a paraphrase; a text is also found inside a longer word, unless `whole_words` is set.
    """

    name: str = "contains"
    all: tuple[str, ...] = ()
    """Texts that must all be in the answer."""
    any: tuple[str, ...] = ()
    """Texts of which at least one must be in the answer."""
    none: tuple[str, ...] = ()
    """Texts that may not be in the answer."""
    all_field: str | None = None
    """Case field with additional texts for `all`, such as `required`; an empty list in such a field adds no
    condition."""
    any_field: str | None = None
    """Case field with additional texts for `any`."""
    none_field: str | None = None
    """Case field with additional texts for `none`, such as `forbidden`."""
    ignore_case: bool = True
    """Ignore upper and lower case."""
    whole_words: bool = False
    """Match whole words only: `art` is not in `part`."""

    version: ClassVar[str] = "2"
    shorthand: ClassVar[str] = "all"

    def __post_init__(self) -> None:
        texts = (*self.all, *self.any, *self.none)
        if not texts and not self.needs:
            raise ValueError("all: nothing to look for; give texts in `all`, `any` or `none`, or name a case field")
        if not all(collapse(compatible(text)) for text in texts):
            raise ValueError("all: a text to look for is blank and would be found everywhere; remove it")

    @property
    def needs(self) -> frozenset[str]:
        """The case fields that the options name."""
        return frozenset(filter(None, (self.all_field, self.any_field, self.none_field)))

    def check_case(self, case: Case) -> None:
        """Reject a row whose fields are not lists of texts to look for."""
        for field in self.needs:
            case_texts(case, field)

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Look for each text."""
        absent = sorted(field for field in self.needs if not has_texts(case, field))
        if absent:
            return Unscored(self.name, f"missing_{absent[0]}", f"the case has no `{absent[0]}`")
        answer = (self._normal(output.text), signs_joined(self._normal(without_marks(output.text))))
        every, some, never = (
            (*texts, *(case_texts(case, field) if field else ()))
            for texts, field in ((self.all, self.all_field), (self.any, self.any_field), (self.none, self.none_field))
        )
        missing = [text for text in every if not self._holds(answer, text)]
        wrong = [text for text in never if self._holds(answer, text)]
        no_choice = bool(some) and not any(self._holds(answer, text) for text in some)
        problems = [
            *([f"missing {shown(missing)}"] if missing else []),
            *([f"none of {shown(some)}"] if no_choice else []),
            *([f"found {shown(wrong)}"] if wrong else []),
        ]
        held = [text for text in (*every, *some) if text not in missing and self._holds(answer, text)]
        holds = f"holds {shown(held)}" if held else f"contains none of {shown(never)}"
        return self.grade(not problems, "; ".join(problems) or holds, missing=missing, found=wrong)

    def _normal(self, text: str) -> str:
        return fold(text) if self.ignore_case else collapse(compatible(text))

    def _holds(self, answer: tuple[str, str], text: str) -> bool:
        wanted = self._normal(text)
        pairs = zip(answer, (wanted, signs_joined(wanted)), strict=True)
        if self.whole_words:
            return any(has_words(form, searched, particles=True) for form, searched in pairs)
        return any(searched in form for form, searched in pairs)
