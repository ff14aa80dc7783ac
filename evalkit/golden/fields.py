"""Turn a raw row into a `Case`, accepting the field names of other tools, and a case into a row."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from evalkit.formats.contexts import context_records, read_contexts
from evalkit.formats.conversation import DURING, read_conversation
from evalkit.formats.messages import input_of, read_messages, text_of
from evalkit.golden.names import ALIASES, CLOSED, KNOWN_FIELDS, OWN_FIELDS, WRAPPERS, field_of
from evalkit.golden.promptfoo import Complain, expected_of
from evalkit.golden.slots import fill_row
from evalkit.types import KINDS, QUARANTINE, ROLES, SEVERITIES, Case, Message, Origin

NEEDS_REFERENCE = "needs_reference"
"""Field of a case whose reference is still to be written."""
NEVER_QUARANTINED = {"kind": "canary", "severity": "critical"}
"""Field -> its value in cases that no quarantine may leave out of a gate."""
SAME_FIELD = "both give"
"""Part of the message about two columns for one field."""
_AS_NAMED = KNOWN_FIELDS - {name for name in KNOWN_FIELDS if field_of(name) != name} - {"assert", "checks"}
"""Fields whose columns have their names in every tool, with values that are what they seem."""
_NOTHING: Mapping[str, Any] = {}
_quick = msgspec.json.Encoder(order="sorted")
_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_INPUT_KEYS = ("input", "question", "query", "prompt", "text", "message", "user_input")
_REFERENCE_KEYS = ("reference", "answer", "output", "expected", "expected_output", "text")


def to_case(  # noqa: PLR0913 - each is a fact about the row
    raw: Mapping[str, Any],
    place: str,
    complain: Complain,
    *,
    make_id: bool = False,
    cohorts: Mapping[str, Any] = _NOTHING,
    reread: Mapping[str, Any] = _NOTHING,
    converses: bool | None = None,
    plays_user: bool = True,
    slots: Mapping[str, str] = _NOTHING,
) -> Case | None:
    """Convert one raw row to a case; `None` after calling `complain` for each problem.

    Args:
        raw: the row.
        place: `file:line`.
        complain: called for each problem.
        make_id: whether to make an id from the content of a row without one.
        cohorts: additional cohorts from other fields of the row, which the digest already covers.
        reread: fields that the digest covers in another form than their value.
        converses: whether the suite has conversations; `None` if no suite is known.
        plays_user: whether the suite can run rows with `user`.
        slots: slot -> word that fills it; without one, braces are plain text.
    """
    faults = 0

    def note(what: str, fix: str) -> None:
        nonlocal faults
        faults += 1
        complain(what, fix)

    row = _our_names(raw, note)
    if slots:
        fill_row(row, slots, note)
    for name in CLOSED:
        if name in row and isinstance(row[name], str):
            row[name] = row[name].strip().lower()
    contexts, origins = _contexts(row["contexts"], note) if "contexts" in row else ((), ())
    opening = None
    if converses or "turns" in row or "user" in row:
        opening = _conversation_opening(row, note, converses=converses, plays_user=plays_user)
    asked = opening or _input(row.get("input"), note)
    reference = _texts(row.get("reference"), note)
    kind = _one_of(row.get("kind", "golden"), "kind", KINDS, note)
    severity = _one_of(row.get("severity", "medium"), "severity", SEVERITIES, note)
    own_cohorts = _cohorts(row.get("cohorts"), note) | (_cohorts(cohorts, note) if cohorts else {})
    cluster = _cluster(row["cluster"], note) if "cluster" in row else None
    if NEEDS_REFERENCE in row:
        _check_waiting(row, note)
    if QUARANTINE in row:
        _check_quarantine(row, note)
    digest = _digest({**row, **reread} if reread else row, note)
    identity = _id(digest[:12] if make_id and row.get("id") is None else row.get("id"), note)
    if faults or identity is None or asked is None:
        return None
    return Case(
        id=identity,
        input=asked,
        reference=reference,
        contexts=contexts,
        origins=origins,
        kind=kind,  # type: ignore[arg-type]
        severity=severity,  # type: ignore[arg-type]
        cohorts=own_cohorts,
        cluster=cluster,
        fields={} if row.keys() <= OWN_FIELDS else {key: row[key] for key in row if key not in OWN_FIELDS},
        digest=digest,
        place=place,
    )


def row_of(case: Case) -> dict[str, Any]:
    """Return a case as a golden row."""
    row: dict[str, Any] = {"id": case.id, "input": input_of(case)}
    if case.reference:
        row["reference"] = case.reference[0] if len(case.reference) == 1 else list(case.reference)
    if case.contexts:
        row["contexts"] = list(context_records(case.contexts, case.origins))
    row |= {"kind": case.kind, "severity": case.severity}
    if case.cohorts:
        row["cohorts"] = dict(case.cohorts)
    if case.cluster is not None:
        row["cluster"] = case.cluster
    if "turns" in case.fields or "user" in case.fields:
        del row["input"]
    return {**row, **case.fields}


def waits(case: Case) -> bool:
    """Return whether a case has no reference yet, so that it never counts."""
    return case.fields.get(NEEDS_REFERENCE) is True


def _check_waiting(row: Mapping[str, Any], note: Complain) -> None:
    value = row.get(NEEDS_REFERENCE)
    if value is not None and not isinstance(value, bool):
        note(f"`{NEEDS_REFERENCE}` is {_show(value)}", "write true, or remove it")
    if value is True and row.get("reference"):
        note(f"`{NEEDS_REFERENCE}` is true and there is a `reference`", f"remove `{NEEDS_REFERENCE}`")


def _check_quarantine(row: Mapping[str, Any], note: Complain) -> None:
    value = row.get(QUARANTINE)
    if value in (None, ""):
        return
    if not isinstance(value, str) or not value.strip():
        note(f"`{QUARANTINE}` is {_show(value)}", "write the reason as a text, or remove it")
    for name, word in NEVER_QUARANTINED.items():
        if row.get(name) == word:
            note(f"a {word} case is in quarantine", f"remove `{QUARANTINE}`: a {word} case always counts")


def _conversation_opening(
    row: Mapping[str, Any], note: Complain, *, converses: bool | None, plays_user: bool
) -> str | None:
    """Return the first text of a conversation that `turns` or `user` make; `None` for a row that gives its input."""
    opens = next((name for name in ("turns", "user") if name in row and row[name] not in (None, "")), None)
    if not converses and (opens is None or row.get("input") not in (None, "")):
        return None
    if converses is False:
        fix = "add `conversation: {max_turns: 10}`"
        note(f"`{opens}` makes it a conversation and the suite has no `conversation:`", fix)
        return "..."
    for name in (name for name in DURING if name in row):
        note(f"`{name}` is an argument of systems in a conversation", "rename the field")
    found = read_conversation(row, note)
    if opens is None:
        return None
    if row.get("input") not in (None, ""):
        note(f"`input` and `{opens}` both open the conversation", "keep one")
    if row.get("turns") and row.get("user"):
        note("`turns` and `user` both play the user", "keep one")
    elif row.get("user") and not plays_user:
        note("`user` needs somebody who plays it", "add `conversation: {user: {chat: {model, base_url, api_key_env}}}`")
    return found.opening or "..."


def questions_of(raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield the question of any tool's row, under each input name; for a conversation, the user's last turn.

    The rest of the row is ignored, and no row is rejected: a row may ask nothing.
    """
    for alias in ALIASES["input"]:
        value = raw.get(alias)
        if isinstance(value, Mapping):
            value = _opened(value, _INPUT_KEYS, alias, lambda what, fix: None)
        text = value if isinstance(value, str) else _last_turn(value)
        if text.strip():
            yield text


def _last_turn(value: Any) -> str:
    """Return the text of the user's last turn, or of the last turn if there is none."""
    turns = [turn for turn in value if isinstance(turn, Mapping)] if isinstance(value, list) else []
    asked = [turn for turn in turns if turn.get("role") == "user"] or turns
    content = asked[-1].get("content") if asked else None
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))


def _our_names(raw: Mapping[str, Any], note: Complain) -> dict[str, Any]:
    """Rename aliases, read `outputs` as the reference, and unwrap `inputs` (langsmith) and `vars` (promptfoo)."""
    if raw.keys() <= _AS_NAMED and not isinstance(raw.get("input"), Mapping):
        row = dict(raw)
        if not isinstance(row.get("reference"), str | None):
            row["reference"] = _answers(row["reference"], "reference", note)
        return row
    row = {}
    origin: dict[str, str] = {}
    expected = expected_of(raw, note)
    read = {key: value for key, value in raw.items() if key not in expected.columns} | expected.answers
    for key, value in read.items():
        is_reference = key in expected.answers or (key == "outputs" and "inputs" in raw)
        name = "reference" if is_reference else field_of(key)
        if name in origin:
            note(f"`{origin[name]}` and `{key}` {SAME_FIELD} the {name}", "keep one of the two")
            continue
        origin[name] = key
        row[name] = value
    if expected.checks and row.get("checks"):
        note("the row has assertions of promptfoo and `checks`", "move the assertions into `checks`")
    elif expected.checks:
        row["checks"] = expected.checks
    elif row.get("checks") == []:
        del row["checks"]  # tables have an empty list where a case has none
    if isinstance(row.get("input"), Mapping):
        row["input"] = _asked(row["input"], origin["input"], note)
    if "reference" in row:
        row["reference"] = _answers(row["reference"], origin["reference"], note)
    return row


def _asked(value: Mapping[str, Any], origin: str, note: Complain) -> Any:
    """Return the question in a mapping: the value under a name of the input, else the mapping's JSON text."""
    named = any(key in value for key in (*_INPUT_KEYS, "messages"))
    return _opened(value, _INPUT_KEYS, origin, note) if named or origin in WRAPPERS else _json_text(value)


def _answers(value: Any, origin: str, note: Complain) -> Any:
    """Return the answers of a row; an object is the answer as JSON text, unless its column wraps the answer."""
    if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        return [_json_text(each) if isinstance(each, Mapping) else each for each in value]
    if not isinstance(value, Mapping):
        return value
    return _opened(value, _REFERENCE_KEYS, origin, note) if origin in WRAPPERS else _json_text(value)


def _json_text(value: Mapping[str, Any]) -> str:
    """Return an object as JSON text, with its keys in their order."""
    return json.dumps(value, ensure_ascii=False)


def _opened(value: Mapping[str, Any], keys: tuple[str, ...], origin: str, note: Complain) -> Any:
    for key in keys:
        if key in value:
            return value[key]
    if len(value) == 1:
        return next(iter(value.values()))
    if "messages" in value:
        return value["messages"]
    note(f"`{origin}` holds {len(value)} values and none is called {' or '.join(keys[:3])}", "name one of them `input`")
    return None


def _id(value: Any, note: Complain) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        note("`id` is missing", "give each case its own id, or set `golden: {path: ..., make_ids: true}`")
        return None
    if not isinstance(value, str) or not value.strip():
        note(f"`id` is {_show(value)}", "write a short text")
        return None
    identity = unicodedata.normalize("NFC", value.strip())
    plain = identity.isprintable()  # says the same of almost every id, at once
    if len(identity) > 200 or (not plain and any(unicodedata.category(each) in ("Cc", "Cs") for each in identity)):
        note("`id` holds control characters or is longer than 200", "use a short plain id")
        return None
    return identity


def _input(value: Any, note: Complain) -> str | tuple[Message, ...] | None:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, list) and value:
        return _messages(value, note)
    what = "is missing" if value is None else f"is {_show(value)}"
    note(f"`input` {what}", "write the question, or a list of {role, content} messages")
    return None


def _messages(value: list[Any], note: Complain) -> tuple[Message, ...] | None:
    try:
        messages = read_messages("input", value, None) or ()
    except ValueError as error:
        place, _, what = str(error).partition(": ")
        fix = f"write {{role: {'|'.join(ROLES)}, content: text}}"
        note(f"`{place.partition(']')[0]}]` is not a chat message ({place}: {what})", fix)
        return None
    if not any(text_of(message).strip() for message in messages):
        note("`input` is a conversation without text", "write the question")
        return None
    return messages


def _texts(value: Any, note: Complain) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, str) and value.strip():
        return (value,)
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list) and all(isinstance(item, str) for item in texts):
        if not all(item.strip() for item in texts):
            note("`reference` holds an empty text", "remove it: an empty answer would be right")
        return tuple(texts)
    note(f"`reference` is {_show(value)}, expected a text or a list of texts", "quote each text")
    return ()


def _contexts(value: Any, note: Complain) -> tuple[tuple[str, ...], tuple[Origin, ...]]:
    if value is None or value == "":
        return (), ()
    try:
        return read_contexts("contexts", value)
    except ValueError as error:
        if isinstance(value, list):
            place, _, what = str(error).partition(": ")
            note(f"`{place}`: {what}", 'write "..." or {"id": "...", "text": "..."}')
        else:
            fix = 'write ["..."]' if isinstance(value, str) else "quote each text"
            note(f"`contexts` is {_show(value)}, expected a list of texts", fix)
        return (), ()


def _one_of(value: Any, name: str, allowed: tuple[str, ...], note: Complain) -> str:
    if value not in allowed:
        note(f"`{name}` is {_show(value)}", f"choose from {', '.join(allowed)}")
    return str(value)


def _cluster(value: Any, note: Complain) -> str | None:
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return None if value is None else str(value)
    note(f"`cluster` is {_show(value)}", "write a short text")
    return None


def _cohorts(value: Any, note: Complain) -> dict[str, str]:
    if value is None:
        return {}
    if isinstance(value, str) and value.strip():
        return {"cohort": value.strip()}
    if not isinstance(value, Mapping):
        note(f"`cohorts` is {_show(value)}", 'write {"domain": "..."}')
        return {}
    cohorts = {}
    for name, label in value.items():
        if isinstance(label, str) and (text := label.strip()):
            cohorts[str(name)] = text
            continue
        if isinstance(label, bool):
            label = str(label).lower()
        if label is None:
            continue
        if not isinstance(label, str | int) or not str(label).strip():
            note(f"`cohorts.{name}` is {_show(label)}", "write a short text")
        else:
            cohorts[str(name)] = str(label).strip()
    return cohorts


def _digest(row: Mapping[str, Any], note: Complain) -> str:
    """Return the SHA-256 of the row's content in canonical JSON."""
    try:
        text = _quick.encode(row) if _is_text(row) else _canonical.encode(row).encode()
        return hashlib.sha256(text).hexdigest()
    except UnicodeEncodeError:
        note("a lone surrogate, half of a character", "write the whole character")
    except (TypeError, ValueError) as error:
        note(f"a value that JSON cannot hold ({error})", "write text, numbers, lists or mappings")
    return ""


def _is_text(row: Mapping[str, Any]) -> bool:
    """Return whether a row holds texts, and mappings of texts, alone: both encoders write them the same."""
    for value in row.values():
        if type(value) is not str:
            if type(value) is not dict:
                return False
            for name, text in value.items():
                if type(text) is not str or type(name) is not str:
                    return False
    return True


def _show(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 50 else text[:47] + "..."
