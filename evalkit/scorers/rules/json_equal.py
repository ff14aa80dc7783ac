"""Score an answer's JSON by its agreement with the reference's JSON, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from evalkit.formats.json_paths import MISSING, Path, is_within, path_pattern, shown_path
from evalkit.scorers.rules.json_schema import NotJson, extracted_json, json_blocks, read_json
from evalkit.scorers.rules.rule import check_share, no_reference
from evalkit.text.escaping import cut
from evalkit.types import Case, Metric, Output, Score, Unscored

SHOWN_FIELDS = 5
KEPT_FIELDS = 50
VALUE_CHARS = 60


@dataclass(frozen=True, kw_only=True)
class JsonEqual:
    """Measure the share of fields in which the answer's JSON equals the reference's.

    The value is 0 to 1: equal fields / all fields, and the reason names those that differ. A field is a value that is
    not an object or a list, or an empty one; a field that only one side has counts as different. The order of keys and
    white space do not matter, and numbers are equal by value (`1` and `1.0`); `"1"` and `1` differ, and so do null and
    a missing field. Of several references, the best one counts. The answer may be in a code block with text around it.
    An answer that is not JSON, such as an empty one, scores 0, and the reason has the place. A reference that is not
    JSON is reported before the first call. The answer passes if the value reaches `min`.

    Fields are named by paths such as `address.zip`, `items[0].price`, `items[*].price` or `["a.b"]`; a path includes
    everything below it.

    It cannot see that two texts mean the same: `"EUR"` and `"euro"` differ.
    """

    name: str = "json_equal"
    fields: tuple[str, ...] = ()
    """Paths to compare; by default all."""
    ignore: tuple[str, ...] = ()
    """Paths to leave out."""
    tolerance: float | Mapping[str, float] = 0.0
    """Absolute difference at which numbers still count as equal: one for all fields, or one for each path."""
    ignore_order: bool = False
    """Compare lists without regard to the order of their items."""
    extract: bool = False
    """Find the JSON in prose too: without a code block, the first object or array."""
    min: float = 1.0
    """Smallest share of fields that passes."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "fields"

    def __post_init__(self) -> None:
        check_share("min", self.min)
        for option in ("fields", "ignore"):
            for text in getattr(self, option):
                _check_path(option, text)
        for text, allowed in self._tolerances.items():
            path_pattern("tolerance", text)
            if not 0 <= allowed < float("inf"):
                raise ValueError(f"tolerance: expected 0 or more, got {allowed}; leave it out for equality")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The one metric, from 0 to 1."""
        return (Metric(self.name, pass_at=self.min),)

    @property
    def needs(self) -> frozenset[str]:
        """The reference."""
        return frozenset({"reference"})

    def check_case(self, case: Case) -> None:
        """Reject a reference that is not JSON, or that has none of the fields."""
        for text in case.reference:
            try:
                wanted = self._chosen(read_json(text))
            except NotJson as error:
                what = str(error).removeprefix("not JSON: ").replace("the answer", "it")
                raise ValueError(f"the reference is not JSON: {what}; write the JSON that you expect") from None
            if self.fields and not wanted:
                raise ValueError(f"the reference has no {' or '.join(self.fields)}; correct the paths in `fields`")

    def score(self, case: Case, output: Output) -> Score | Unscored:
        """Compare the answer with every reference."""
        if not case.reference:
            return no_reference(self.name)
        try:
            references = [read_json(text) for text in case.reference]
        except NotJson as error:
            return Unscored(self.name, "bad_reference", f"the reference is {error}")
        try:
            answer = _json_of(output.text, self.extract)
        except NotJson as error:
            return Score(self.name, 0.0, self.min <= 0, str(error))
        grades = [self._compared(answer, reference) for reference in references]
        scores = [grade for grade in grades if isinstance(grade, Score)]
        return max(scores, key=lambda score: score.value) if scores else grades[0]

    def _compared(self, answer: Any, reference: Any) -> Score | Unscored:
        if self.ignore_order:
            answer = _aligned(answer, reference)
        found, wanted = self._chosen(answer), self._chosen(reference)
        paths = [*wanted, *(path for path in found if path not in wanted)]
        different = [path for path in paths if not self._equal(path, found, wanted)]
        if not paths and self.ignore:
            return Unscored(self.name, "nothing_compared", "`ignore` leaves no field to compare")
        share = 1 - len(different) / len(paths) if paths else 1.0
        told = [_told(path, found, wanted) for path in different[:KEPT_FIELDS]]
        reason = f"{len(paths) - len(different)} of {len(paths)} fields equal"
        shown = "; ".join([reason, *told[:SHOWN_FIELDS]])
        more = len(different) - SHOWN_FIELDS
        return Score(
            self.name, share, share >= self.min, f"{shown}; and {more} more" if more > 0 else shown, {"different": told}
        )

    def _chosen(self, value: Any) -> dict[Path, Any]:
        fields = [path_pattern("fields", text) for text in self.fields]
        ignored = [path_pattern("ignore", text) for text in self.ignore]
        return {
            path: leaf
            for path, leaf in _leaves(value)
            if (not fields or is_within(path, fields)) and not is_within(path, ignored)
        }

    @property
    def _tolerances(self) -> Mapping[str, float]:
        return self.tolerance if isinstance(self.tolerance, Mapping) else {"": self.tolerance}

    def _equal(self, path: Path, found: Mapping[Path, Any], wanted: Mapping[Path, Any]) -> bool:
        ours, theirs = found.get(path, MISSING), wanted.get(path, MISSING)
        if not (_is_number(ours) and _is_number(theirs)):
            return type(ours) is type(theirs) and bool(ours == theirs)
        patterns = {text: path_pattern("tolerance", text) for text in self._tolerances}
        allowed = [each for text, each in self._tolerances.items() if is_within(path, [patterns[text]])]
        # As decimals, so that 9.81 is within 0.01 of 9.80.
        return abs(Decimal(str(ours)) - Decimal(str(theirs))) <= Decimal(str(max(allowed, default=0.0)))


def _json_of(text: str, extract: bool) -> Any:
    """Read the JSON in the whole text, or in its code block."""
    try:
        return read_json(text)
    except NotJson:
        if extract or "```" in text:
            value = extracted_json(text)
            if any(other != value for other in json_blocks(text)):
                raise NotJson("several code blocks with different JSON, of which any may be meant") from None
            return value
        raise


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each field with its path; a gap in a list has none."""
    if value and isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, (*path, key))
    elif value is not MISSING:
        yield path, value


def _check_path(option: str, text: str) -> None:
    if not path_pattern(option, text):
        raise ValueError(f"{option}: a path is empty; write one such as address.zip")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _aligned(found: Any, wanted: Any) -> Any:
    """Return the answer with its lists in the reference's order; items without an equal fill the gaps in order."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return {key: _aligned(value, wanted.get(key)) for key, value in found.items()}
    if not (isinstance(found, list) and isinstance(wanted, list)):
        return found
    places: dict[str, list[int]] = {}
    for at, item in enumerate(found):
        places.setdefault(_canonical(item), []).append(at)
    equal = [places[key].pop(0) if places.get(key) else None for key in map(_canonical, wanted)]
    rest = iter(sorted(at for left in places.values() for at in left))
    order = [next(rest, None) if at is None else at for at in equal]
    paired = [MISSING if at is None else _aligned(found[at], other) for at, other in zip(order, wanted, strict=True)]
    return [*paired, *(found[at] for at in rest)]


def _canonical(value: Any) -> str:
    return json.dumps(_sorted(value), sort_keys=True)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _told(path: Path, found: Mapping[Path, Any], wanted: Mapping[Path, Any]) -> str:
    place = shown_path(path)
    if path not in found:
        return f"{place} is missing, expected {_shown(wanted[path])}"
    if path not in wanted:
        return f"{place} is not expected: {_shown(found[path])}"
    return f"{place} is {_shown(found[path])}, expected {_shown(wanted[path])}"


def _shown(value: Any) -> str:
    return cut(json.dumps(value, ensure_ascii=False), VALUE_CHARS)
