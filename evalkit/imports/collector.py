"""Collect the cases and outputs of another tool's file row by row, with what is not carried over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.golden.source_file import SourceFile
from evalkit.imports.ids_and_fields import Ids, cohorts_of, own_field
from evalkit.imports.imported import (
    Imported,
    ImportedCase,
    ImportedSystem,
    Loss,
    PersonsLabel,
    StoredOutput,
)

NOTHING: tuple[Any, ...] = (None, "", [], {})
"""Values that say nothing."""


@dataclass
class Collector:
    """Collects what was read so far."""

    source: SourceFile
    ids: Ids = field(default_factory=Ids)
    cases: list[ImportedCase] = field(default_factory=list)
    outputs: list[StoredOutput] = field(default_factory=list)
    labels: list[PersonsLabel] = field(default_factory=list)
    losses: dict[Loss, None] = field(default_factory=dict)
    """Each once, in the order of the source."""
    n_lost: int = 0

    def lose(self, place: str, what: str, fix: str, part: str = "") -> None:
        """Note something that is not carried over."""
        self.losses.setdefault(Loss(place, what, fix, part))
        self.n_lost += part == "case"

    def rows(self, limit: int | None, *telling: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """Yield the number, place and values of each row; one that is not a mapping is a loss.

        Args:
            limit: how many.
            telling: names of values that may be the empty text or an empty list. A table may write
                them for missing values.
        """
        kept = () if self.source.kind == "table" else telling
        rows = self.source.rows or ([self.source.value] if isinstance(self.source.value, Mapping) else [])
        for at, row in enumerate(rows[:limit]):
            place = self.source.at(at)
            if isinstance(row, Mapping):
                said = {key for key in kept if row.get(key) in ("", [])}
                yield at, place, {key: value for key, value in row.items() if value not in NOTHING or key in said}
            else:
                self.lose(place, "a row that is not a mapping", "export it again", "case")

    def case(self, place: str, wanted: Any, fields: Mapping[str, Any]) -> str:
        """Add a case; return its id."""
        name = self.ids.of(wanted, f"case-{len(self.cases) + self.n_lost + 1}")
        kept = {key: value for key, value in fields.items() if value not in (None, "", {})}
        self.cases.append(ImportedCase(place, name, kept))
        return name

    def output(self, place: str, case_id: str, **values: Any) -> None:
        """Add an output of a case."""
        self.outputs.append(StoredOutput(place=place, case_id=case_id, **values))

    def rest(self, fields: dict[str, Any], row: Mapping[str, Any], read: frozenset[str]) -> None:
        """Keep the values of a row that nothing else reads, as fields of its case."""
        fields.update({own_field(key): value for key, value in row.items() if key not in read})

    def metadata(self, fields: dict[str, Any], value: Any) -> None:
        """Turn the short values of some metadata into cohorts, and the others into fields."""
        cohorts = cohorts_of(value)
        fields["cohorts"] = {**fields.get("cohorts", {}), **cohorts}
        others = value.items() if isinstance(value, Mapping) else [("metadata", value)] if value not in NOTHING else []
        fields.update({own_field(str(key)): each for key, each in others if key not in cohorts and each not in NOTHING})

    def calls(
        self, place: str, value: Any, arguments: str | Sequence[str], result: str = ""
    ) -> list[dict[str, Any]] | None:
        """Return tool calls in our form; `None`, with a loss, if they are not calls.

        Args:
            place: of the calls.
            value: a list of calls.
            arguments: the source's name of the arguments, or its names in several versions.
            result: the source's name of the result.
        """
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(each, Mapping) and isinstance(each.get("name"), str) and each["name"] for each in items):
            self.lose(place, "tool calls without names", "write a list of calls with `name`")
            return None
        made = []
        for each in items:
            names = (arguments,) if isinstance(arguments, str) else arguments
            given = next((each[name] for name in names if each.get(name) is not None), None)
            if given is not None and not isinstance(given, Mapping):
                self.lose(place, f"arguments of {each['name'][:60]} that are not a mapping", "write them as a mapping")
            call: dict[str, Any] = {"name": each["name"], "arguments": given if isinstance(given, Mapping) else {}}
            if result and each.get(result) is not None:
                call["result"] = each[result]
            made.append(call)
        return made

    @property
    def converses(self) -> bool:
        """Whether a case is a conversation that is led turn by turn."""
        return any("user" in case.fields or "turns" in case.fields for case in self.cases)

    def imported(self, kind: str, name: str = "", **more: Any) -> Imported:
        """Return what was read."""
        n_outputs = len(self.outputs)
        found = {"case": len(self.cases) + self.n_lost, **({"output": n_outputs} if n_outputs else {})}
        system = ImportedSystem(name="", place=self.source.shown, outputs=tuple(self.outputs))
        title = name.strip() or self.source.path.name.partition(".")[0] or "imported"
        return Imported(
            **{
                "kind": kind,
                "conversation": self.converses,
                "name": title,
                "cases": tuple(self.cases),
                "systems": (system,),
                "labels": tuple(self.labels),
                "losses": tuple(self.losses),
                "found": found,
                **more,
            }
        )
