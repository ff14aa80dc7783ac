"""Read the eval sets of Google's Agent Development Kit, in snake case or camel case."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evalkit.formats.json_paths import single_path
from evalkit.golden.source_file import SourceFile
from evalkit.imports.collector import Collector
from evalkit.imports.imported import FoundScorer, Imported
from evalkit.imports.suite_scorers import suite_scorers

_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_PATH_KEY = re.compile(r"[\w-]+")
_BLOBS = ("inline_data", "file_data", "executable_code", "code_execution_result")
_OF_SESSIONS = {"expected_tool_use", "reference", "expected_intermediate_agent_responses"}
_FREE = ("state", "final_session_state", "args")
"""Keys whose values keep the user's own names."""


def is_eval_set(source: SourceFile) -> bool:
    """Tell whether a file is an eval set."""
    value = source.value
    if isinstance(value, list):
        rows = value[0].get("data") if value and isinstance(value[0], Mapping) and "data" in value[0] else value
        first = rows[0] if isinstance(rows, list) and rows else None
        return isinstance(first, Mapping) and "query" in first and bool(_OF_SESSIONS & first.keys())
    return isinstance(value, Mapping) and bool({"eval_cases", "evalCases"} & value.keys())


def read_eval_set(source: SourceFile, limit: int | None = None) -> Imported:
    """Read an eval set: each case is a conversation, scripted or with a simulated user."""
    value = _of_sessions(source.value) if isinstance(source.value, list) else _snake(source.value)
    found = Collector(source)
    wanted: list[list[FoundScorer]] = []
    cases = value.get("eval_cases")
    for at, case in enumerate((cases if isinstance(cases, list) else [])[:limit]):
        place = source.at("eval_cases", at)
        if not isinstance(case, Mapping):
            found.lose(place, "a case that is not a mapping", "save the eval set again", "case")
            continue
        fields = _fields(found, at, case)
        if fields is not None:
            found.case(place, case.get("eval_id"), fields)
            wanted.append([*_rubrics(found, place, case.get("rubrics"))])
    rows = [dict(case.fields) for case in found.cases]
    shared = suite_scorers(wanted, rows)
    found.cases = [replace(case, fields=row) for case, row in zip(found.cases, rows, strict=True)]
    for loss in shared.losses:
        found.losses.setdefault(loss)
    name = value.get("name") or value.get("eval_set_id")
    return found.imported(
        "ADK eval set",
        name if isinstance(name, str) else "",
        scorers=(*_scorers(rows), *shared.scorers),
        rubrics=shared.rubrics,
        found={"case": len(found.cases) + found.n_lost},
    )


def _of_sessions(sessions: list[Any]) -> dict[str, Any]:
    """Return sessions, as ADK wrote them before eval sets, in the form of an eval set.

    Source: `google.adk.evaluation.local_eval_sets_manager.convert_eval_set_to_pydantic_schema`.
    """
    named = [each for each in sessions if isinstance(each, Mapping) and "data" in each]
    return {"eval_cases": [_of_session(each) for each in (named or [{"data": sessions}])]}


def _of_session(session: Mapping[str, Any]) -> dict[str, Any]:
    turns = session.get("data")
    talk = [_of_query(_mapping(each)) for each in (turns if isinstance(turns, list) else [])]
    return {
        "eval_id": session.get("name"),
        "conversation": talk,
        "session_input": {"state": _mapping(session.get("initial_session")).get("state")},
    }


def _of_query(turn: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **turn,
        "user_content": {"parts": [{"text": turn.get("query")}]},
        "final_response": {"parts": [{"text": turn.get("reference")}]},
    }


def _used(value: Any) -> list[dict[str, Any]] | None:
    """Return the calls that ADK expected of a turn before eval sets; `None` if there is no list of them."""
    if not isinstance(value, list):
        return None
    return [
        {"name": each.get("tool_name", each.get("name")), "args": each.get("tool_input", each.get("args"))}
        if isinstance(each, Mapping)
        else {"name": each}
        for each in value
    ]


def _scorers(rows: list[dict[str, Any]]) -> list[FoundScorer]:
    """Return the checks that ADK makes by default: the calls of each turn, exactly, and an overlap of words.

    The overlap is computed by another formula.
    """
    turns = [turn for row in rows for turn in row.get("turns", ())]
    found = []
    on_turns = {"over": "turn", "when": {"has": "turns"}}
    if any("expected_tool_calls" in turn for turn in turns):
        found.append(FoundScorer("", "tool_calls", {"match": "exact", **on_turns}))
    if any("reference" in turn for turn in turns):
        found.append(FoundScorer("", "token_f1", {"advisory": True, **on_turns}))
    if any("expected_state" in row for row in rows):
        found.append(FoundScorer("", "state", {"when": {"has": "expected_state"}}))
    return found


def _fields(found: Collector, at: int, case: Mapping[str, Any]) -> dict[str, Any] | None:
    place = found.source.at("eval_cases", at)
    scenario = _mapping(case.get("conversation_scenario"))
    talk = case.get("conversation")
    turns = [_turn(found, at, number, each) for number, each in enumerate(talk if isinstance(talk, list) else [])]
    kept = [turn for turn in turns if turn is not None]
    fields: dict[str, Any] = {}
    if kept:
        fields["turns"] = kept
    elif scenario:
        persona = scenario.get("user_persona")
        goal = scenario.get("conversation_plan") or scenario.get("starting_prompt")
        fields["user"] = {"goal": goal, **({"persona": persona} if isinstance(persona, str) else {})}
        if isinstance(persona, Mapping) and isinstance(persona.get("description"), str):
            fields["user"]["persona"] = persona["description"]
        elif persona is not None and not isinstance(persona, str):
            found.lose(f"{place}.conversation_scenario.user_persona", "no words for a persona", "write `persona`")
        if scenario.get("starting_prompt"):
            fields["user"]["opening"] = scenario["starting_prompt"]
    else:
        found.lose(place, "neither a conversation with text nor a scenario", "add one", "case")
        return None
    state = _mapping(case.get("session_input")).get("state")
    if isinstance(state, Mapping) and state:
        fields["state"] = state
    final = case.get("final_session_state")
    if isinstance(final, Mapping) and final:
        fields["expected_state"] = expected = {}
        for path, value in _leaves(final, ""):
            try:
                single_path("path", path)
            except ValueError:
                found.lose(
                    f"{place}.final_session_state", f"{path[:60]!r} is not a path", "rename the key in the state"
                )
            else:
                expected[path] = value
    return fields


def _turn(found: Collector, at: int, number: int, value: Any) -> dict[str, Any] | None:
    place = found.source.at("eval_cases", at, "conversation", number)
    given = _mapping(value)
    said = _text(found, f"{place}.user_content", given.get("user_content"))
    if not said.strip():
        found.lose(place, "a turn in which the user says nothing", "write the text of the turn")
        return None
    turn: dict[str, Any] = {"user": said}
    if answer := _text(found, f"{place}.final_response", given.get("final_response")):
        turn["reference"] = answer
    data = _mapping(given.get("intermediate_data"))
    uses = data.get("tool_uses", _called(data.get("invocation_events")))
    uses = _used(given.get("expected_tool_use")) if uses is None else uses
    if given.get("expected_intermediate_agent_responses"):
        fix = "write a check of the answer for what matters"
        found.lose(place, "`expected_intermediate_agent_responses` has no counterpart", fix)
    if uses is not None:
        calls = found.calls(place, uses, "args") if uses != [] else []
        turn.update({} if calls is None else {"expected_tool_calls": calls})
    return turn


def _called(events: Any) -> list[Any] | None:
    """Return the calls among the events of a turn; `None` if there are no events."""
    if not isinstance(events, list):
        return None
    parts = [part for event in events for part in _parts(_mapping(event).get("content"))]
    return [part["function_call"] for part in parts if part.get("function_call")]


def _text(found: Collector, place: str, content: Any) -> str:
    parts = _parts(content)
    for name in sorted({name for part in parts for name in _BLOBS if part.get(name) is not None}):
        found.lose(place, f"`{name}` is not text", "describe it in words")
    texts = [part["text"] for part in parts if isinstance(part.get("text"), str) and not part.get("thought")]
    return "\n".join(texts)


def _parts(content: Any) -> list[Mapping[str, Any]]:
    parts = _mapping(content).get("parts")
    return [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []


def _rubrics(found: Collector, place: str, rubrics: Any) -> list[FoundScorer]:
    made = []
    for each in rubrics if isinstance(rubrics, list) else []:
        text = _mapping(_mapping(each).get("rubric_content")).get("text_property")
        if isinstance(text, str) and text.strip() and "{{" not in text:
            body = f"{{{{answer}}}} is the last answer to {{{{question}}}}.\n\nIt passes if this holds:\n\n{text}"
            made.append(FoundScorer(f"{place}.rubrics", "judge", {"rubric": body}, "rubric"))
        else:
            found.lose(f"{place}.rubrics", "a rubric without text", "write it as a rubric file: docs/judges.md")
    return made


def _leaves(state: Mapping[str, Any], path: str) -> list[tuple[str, Any]]:
    """Return the paths of a state with their values; a mapping whose keys are not names stays whole."""
    found: list[tuple[str, Any]] = []
    for key, value in state.items():
        inner = f"{path}.{key}" if path else str(key)
        opens = isinstance(value, Mapping) and value and all(_PATH_KEY.fullmatch(str(each)) for each in value)
        found += _leaves(value, inner) if opens else [(inner, value)]
    return found


def _snake(value: Any, *, free: bool = False) -> Any:
    """Return a value with names in snake case, except below keys where they are the user's own."""
    if isinstance(value, Mapping):
        names = {key: key if free else _CAMEL.sub(lambda each: f"_{each[1].lower()}", key) for key in value}
        return {name: _snake(value[key], free=free or name in _FREE) for key, name in names.items()}
    return [_snake(each, free=free) for each in value] if isinstance(value, list) else value


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
