"""Score whether an answer is valid JSON that fits a schema."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from evalkit.disk.files import read_file
from evalkit.disk.paths import inside_project
from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.scorers.base import Services
from evalkit.scorers.rules.rule import PassFail
from evalkit.text.escaping import cut
from evalkit.text.patterns import compile_pattern, well_formed
from evalkit.text.values import not_utf8
from evalkit.types import Case, Output, Score

MAX_DEPTH = 50
"""Maximum depth; validation takes several frames of the interpreter for each level."""
MAX_DIGITS = 300
MAX_STARTS = 200
"""Maximum number of places at which a JSON value is searched for, which limits the work on a text full of brackets."""
SHOWN_ERRORS = 5
MAX_ERRORS = 50

_FENCE = re.compile(r"^[ \t]*```([^\n`]*)\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


class NotJson(Exception):
    """The text is not valid JSON for this scorer; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Json(PassFail):
    """Pass an answer that is one valid JSON value and fits the schema, if one is given.

    The value is 1 or 0; `details` hold `errors`, each with its path. JSON is read strictly (RFC 8259): NaN, Infinity, a
    repeated key, a number beyond a double, an integer of more than 300 digits and nesting deeper than 50 levels fail,
    and the reason names them. The schema is JSON Schema 2020-12; `format` is not checked, nothing is fetched, and
    `pattern` is RE2. An empty answer is not JSON and fails.

    It cannot see whether the values are true.
    """

    name: str = "json"
    schema: Mapping[str, Any] | str | None = None
    """JSON Schema, written out or as the path of a JSON file relative to the suite."""
    extract: bool = False
    """Extract the JSON from prose: from the first code block (preferably one marked `json`), else the first object or
    array."""

    version: ClassVar[str] = "1"
    shorthand: ClassVar[str] = "schema"

    def __post_init__(self) -> None:
        if isinstance(self.schema, Mapping):
            check_schema(self.schema)

    @property
    def key_parts(self) -> Mapping[str, str]:
        """The schema itself, because the file may change."""
        return {"schema": _frozen(self.schema)} if isinstance(self.schema, Mapping) else {}

    def bind(self, services: Services) -> Json:
        """Read the schema from its file.

        Raises:
            InputError: the file does not exist, or does not contain a schema.
        """
        if not isinstance(self.schema, str):
            return self
        try:
            schema = read_json(read_file(inside_project(services.root, self.schema)).decode("utf-8"))
            if not isinstance(schema, dict):
                raise NotJson("the schema is not a JSON object")
            return dataclasses.replace(self, schema=schema)
        except OSError as error:
            what, fix = f"schema cannot be read ({error.strerror})", "fix the path; it is relative to the suite"
        except UnicodeDecodeError as error:
            what, fix = not_utf8(error), "save it as UTF-8"
        except (NotJson, ValueError) as error:
            what, fix = what_and_fix(str(error).removeprefix("schema: "), "fix the schema")
        raise InputError(Problem(self.schema, what, fix))

    def score(self, case: Case, output: Output) -> Score:
        """Read the answer, and check it against the schema."""
        try:
            value = extracted_json(output.text) if self.extract else read_json(output.text)
        except NotJson as problem:
            return self.grade(False, str(problem), errors=[str(problem)])
        if not isinstance(self.schema, Mapping):
            return self.grade(True, "valid JSON", errors=[])
        errors = schema_errors(self.schema, value)
        return self.grade(not errors, "; ".join(errors[:SHOWN_ERRORS]) or "fits the schema", errors=errors)


def read_json(text: str) -> Any:
    """Read one strict JSON value.

    Raises:
        NotJson: it is not valid JSON; the message has line and column.
    """
    if not text.strip():
        raise NotJson("not JSON: the answer is empty")
    _check_depth(text)
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise NotJson(f"nested deeper than {MAX_DEPTH}") from None


def extracted_json(text: str) -> Any:
    """Extract the first value from code blocks or prose; a value that is cut off is not searched for a smaller one."""
    fences = list(_FENCE.finditer(text))
    if fences:
        return read_json(next((fence for fence in fences if fence[1].strip().lower() == "json"), fences[0])[2])
    for match in itertools.islice(re.finditer(r"[{\[]", text), MAX_STARTS):
        start = match.start()
        try:
            value, end = _DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
                raise NotJson(f"not JSON: cut off in the value that starts at character {start + 1}") from None
        except RecursionError:
            raise NotJson(f"nested deeper than {MAX_DEPTH}") from None
        else:
            _check_depth(text[start:end])
            return value
    raise NotJson("no JSON object or array in the answer")


def json_blocks(text: str) -> Iterator[Any]:
    """Yield the value of each code block that is labelled as JSON and can be read."""
    for fence in _FENCE.finditer(text):
        if fence[1].strip().lower() == "json":
            with suppress(NotJson):
                yield read_json(fence[2])


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise NotJson(f"nested deeper than {MAX_DEPTH}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key in found if [name for name, _ in pairs].count(key) > 1)
        raise NotJson(f"key '{cut(twice, 60)}' given twice")
    return found


def _no_constant(text: str) -> Any:
    raise NotJson(f"{text} is not a JSON number")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise NotJson(f"integer of {len(text.lstrip('-'))} digits, at most {MAX_DIGITS} are read")
    return int(text)


def _double(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise NotJson(f"number {text[:20]} is beyond a double")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer, parse_float=_double
)


def _frozen(schema: Mapping[str, Any]) -> str:
    try:
        return json.dumps(schema, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"schema: contains what JSON cannot represent ({error}); quote dates and keys that are not text"
        ) from None


@functools.lru_cache(maxsize=64)
def _validator(frozen: str) -> Any:
    """Compile a schema.

    Raises:
        ValueError: it is not a schema of draft 2020-12, has a reference outside itself, or has a pattern that RE2
            rejects.
    """
    import jsonschema
    from referencing import Registry

    schema = json.loads(frozen)
    draft: Any = jsonschema.Draft202012Validator
    try:
        draft.check_schema(schema, format_checker=jsonschema.FormatChecker(formats=()))
    except jsonschema.SchemaError as error:
        raise ValueError(f"schema: {error.json_path}: {cut(error.message, 200)}; follow draft 2020-12") from None
    for keyword, value in _keywords(schema):
        if keyword == "pattern":
            compile_pattern("schema", value)
    _check_references(schema)
    validator = jsonschema.validators.extend(draft, {"pattern": _match_pattern})(schema, registry=Registry())  # type: ignore[no-untyped-call]
    try:
        validator.is_valid(None)
    except RecursionError:
        raise ValueError("schema: refers to itself endlessly; put the $ref below a property") from None
    return validator


def _keywords(schema: Any) -> Iterator[tuple[str, str]]:
    """Yield every `pattern` and `$ref` of a schema, except inside examples of data."""
    if isinstance(schema, list):
        for part in schema:
            yield from _keywords(part)
    elif isinstance(schema, dict):
        for key, part in schema.items():
            if key in ("pattern", "$ref") and isinstance(part, str):
                yield key, part
            elif key not in ("enum", "const", "default", "examples"):
                yield from _keywords(part)


def _check_references(schema: Any) -> None:
    from referencing import Registry, Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resolver = Registry().resolver_with_root(Resource.from_contents(schema, default_specification=DRAFT202012))
    for keyword, reference in _keywords(schema):
        if keyword == "$ref":
            try:
                resolver.lookup(reference)
            except Unresolvable:
                what = f"$ref '{reference}' is not in it, and nothing is fetched"
                raise ValueError(f"schema: {what}; put the part under $defs") from None


def _match_pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    import jsonschema

    if isinstance(value, str) and not compile_pattern("schema", pattern).search(well_formed(value)):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def check_schema(schema: Mapping[str, Any]) -> None:
    """Check a JSON Schema of draft 2020-12.

    Raises:
        ValueError: `schema: what; fix`.
    """
    _validator(_frozen(schema))


def schema_errors(schema: Mapping[str, Any], value: Any) -> list[str]:
    """Return where a value does not fit a schema: `path: what`, sorted by path; empty if it fits."""
    found = itertools.islice(_validator(_frozen(schema)).iter_errors(value), MAX_ERRORS)
    return [
        f"{error.json_path}: {cut(error.message, 200)}" for error in sorted(found, key=lambda error: error.json_path)
    ]
