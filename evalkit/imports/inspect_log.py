"""Read logs of inspect: JSON, and `.eval` archives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from evalkit.golden.json_lines import Rejected
from evalkit.golden.source import WORKBOOKS
from evalkit.golden.source_file import MAX_VALUES, SourceFile, check_value, count_values, decode_document
from evalkit.imports.archive import read_members
from evalkit.imports.collector import Collector
from evalkit.imports.ids_and_fields import is_number, own_field, texts_of
from evalkit.imports.imported import FoundScorer, Imported, ImportedCase, ImportedSystem
from evalkit.types import ROLES

_CONVERT = "run `inspect log convert --to json` on it and import what that writes"
_HEADER, _START, _SAMPLES = "header.json", "_journal/start.json", "samples/"
_GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Correct, incorrect, partial, no answer, as inspect counts them."""
_DECISIONS = {"approve": "approved", "modify": "edited", "reject": "rejected", "terminate": "rejected"}
_MOST_VALUES = 2 * MAX_VALUES
"""Maximum number of values in all members of an archive."""
_ATTACHED, _IN_TRANSCRIPT = "attachment://", "tc://"
_NEEDS = ("sandbox", "files", "setup")
"""Keys of a sample that need the machine it ran on."""
_CODE = "write a `python` scorer: docs/own-scorers.md"


def is_log(source: SourceFile) -> bool:
    """Tell whether a file is a log."""
    if source.kind == "archive":
        return source.path.suffix.lower() not in WORKBOOKS
    value = source.value
    return isinstance(value, Mapping) and isinstance(value.get("eval"), Mapping) and "status" in value


def read_log(source: SourceFile, limit: int | None = None) -> Imported:
    """Read a log: samples are cases, epochs are repeats, scores are recorded."""
    if source.kind == "archive":
        source = _unpacked(source)
    log: Mapping[str, Any] = source.value
    found = Collector(source)
    if log.get("status") != "success":
        what = f"the status is {str(log.get('status'))[:40]}, so samples may be missing"
        found.lose(source.at("status"), what, "run the eval to its end")
    if source.unknown:
        what = f"NaN or Infinity in place of a number, {source.unknown:,} times: read as unknown"
        found.lose(source.shown, what, "nothing: inspect marks what it did not score so")
    evaluation = _mapping(log.get("eval"))
    samples = log.get("samples")
    items = [*enumerate(samples)] if isinstance(samples, list) else []
    order = {str(name): at for at, name in enumerate(_list(_mapping(evaluation.get("dataset")).get("sample_ids")))}
    items.sort(key=lambda item: _order(item[1], order))
    ids: dict[str, str] = {}
    seen: dict[str, list[str]] = {}
    checks = _Scorers(found, evaluation, source)
    for at, sample in items:
        place = source.at("samples", at)
        if not isinstance(sample, Mapping):
            found.lose(place, "a sample that is not a mapping", "write the log again", "case")
            continue
        name = str(sample.get("id"))
        if name not in ids:
            if limit is not None and len(ids) >= limit:
                continue
            ids[name] = _case(found, place, sample, checks)
        epoch = str(sample.get("epoch"))
        if epoch in seen.setdefault(name, []):
            found.lose(place, f"epoch {epoch[:20]} of {name[:60]!r} again", "write the log again", "output")
            continue
        _output(found, place, ids[name], len(seen[name]), sample)
        seen[name].append(epoch)
    model, task = evaluation.get("model"), evaluation.get("task")
    outputs = tuple(found.outputs)
    system = ImportedSystem(name=str(model)[:100], place=source.shown, outputs=outputs)
    n_lost = sum(loss.part == "output" for loss in found.losses)
    return found.imported(
        "inspect log",
        task if isinstance(task, str) else "",
        systems=(system,),
        found={"case": len(found.cases) + found.n_lost, "output": len(outputs) + n_lost, "scorer": checks.n_scorers},
    )


def _unpacked(source: SourceFile) -> SourceFile:
    """Return an archive in the form of a log in JSON."""
    log: dict[str, Any] = {}
    samples: list[Any] = []
    unknown: list[int] = []
    signs: list[int] = []

    def decode(text: str) -> Any:
        signs.append(count_values(text))
        if sum(signs) > _MOST_VALUES:
            raise Rejected(f"with the members before it more than {_MOST_VALUES:,} values; import fewer samples")
        value, n_unknown = decode_document(text)
        check_value(value, lambda *keys: source.at("samples", len(samples), *keys[:2]))
        unknown.append(n_unknown)
        return value

    def wanted(name: str) -> bool:
        return name in (_HEADER, _START) or (name.startswith(_SAMPLES) and name.endswith(".json"))

    for name, value in read_members(source.path, source.shown, wanted, decode, _CONVERT):
        if name.startswith(_SAMPLES):
            samples.append(value)
        elif isinstance(value, Mapping) and (name == _HEADER or not log):
            log = dict(value)
    value = {"status": "unknown", **log, "samples": samples}
    return SourceFile(source.shown, "document", value, source.path, unknown=sum(unknown))


def _order(sample: Any, order: Mapping[str, int]) -> tuple[int, int]:
    given = _mapping(sample)
    epoch = given.get("epoch")
    return order.get(str(given.get("id")), len(order)), epoch if isinstance(epoch, int) else 0


class _Scorers:
    """The counterparts of an eval's scorers."""

    def __init__(self, found: Collector, evaluation: Mapping[str, Any], source: SourceFile) -> None:
        scorers = [_mapping(each) for each in _list(evaluation.get("scorers"))]
        self.n_scorers = len(scorers)
        self._kept: list[tuple[str, str, Mapping[str, Any]]] = []
        for at, each in enumerate(scorers):
            place, name = source.at("eval", "scorers", at), str(each.get("name"))[:60]
            if name in ("includes", "exact"):
                self._kept.append((place, name, _mapping(each.get("options"))))
            else:
                what = f"the scorer {name!r} is code of inspect; what it said is under `recorded`"
                found.lose(place, what, _CODE, "scorer")

    def checks_of(self, targets: Sequence[str]) -> tuple[FoundScorer, ...]:
        """Return the checks of a case with these targets."""
        made = []
        for place, name, options in self._kept if targets else ():
            any_case = options.get("ignore_case") is not False
            if name == "includes":
                made.append(FoundScorer(place, "contains", {"any": [*targets], "ignore_case": any_case}, "scorer"))
            else:
                made.append(FoundScorer(place, "exact", {"ignore_case": True, "ignore_punctuation": True}, "scorer"))
        return tuple(made)


def _case(found: Collector, place: str, sample: Mapping[str, Any], checks: _Scorers) -> str:
    targets = texts_of(sample.get("target"))
    given = sample.get("input")
    fields: dict[str, Any] = {
        "input": [_message(each, sample) for each in given] if isinstance(given, list) else given,
        "reference": targets or None,
    }
    if sample.get("choices"):
        fields["choices"] = sample["choices"]
    found.metadata(fields, sample.get("metadata"))
    for name in _NEEDS:
        if sample.get(name) not in (None, "", [], {}):
            found.lose(f"{place}.{name}", "evalkit has no sandboxes", "let the system under test set it up")
    case_id = found.case(place, sample.get("id"), fields)
    case = found.cases[-1]
    found.cases[-1] = ImportedCase(case.place, case.id, case.fields, checks.checks_of(targets))
    return case_id


def _output(found: Collector, place: str, case_id: str, repeat: int, sample: Mapping[str, Any]) -> None:
    recorded = _recorded(sample)
    given = _mapping(sample.get("output"))
    text = _completion(given, sample)
    error = _mapping(sample.get("error")).get("message") or given.get("error")
    if error or not isinstance(text, str):
        said = str(error or "no output")[:2000]
        found.output(place, case_id, repeat=repeat, failure=said, recorded=recorded)
        return
    output: dict[str, Any] = {"text": _attached(text, sample)}
    messages = [_message(each, sample) for each in _list(sample.get("messages"))]
    if messages:
        output["messages"] = messages
    if steps := _steps(found, place, sample):
        output["trajectory"] = steps
    if usage := _usage(sample):
        output["usage"] = usage
    if is_number(sample.get("total_time")) and sample["total_time"] >= 0:
        output["latency_s"] = sample["total_time"]
    if isinstance(sample.get("store"), Mapping) and sample["store"]:
        output["state"] = sample["store"]
    if limit := _mapping(sample.get("limit")).get("type"):
        output["stop"] = f"limit: {limit}"
    found.output(place, case_id, repeat=repeat, output=output, recorded=recorded)


def _completion(output: Mapping[str, Any], sample: Mapping[str, Any]) -> Any:
    """Return the answer; logs of 2024 have it in the first choice alone."""
    choices = _list(output.get("choices"))
    if "completion" in output or not choices:
        return output.get("completion")
    content = _content(_mapping(_mapping(choices[0]).get("message")).get("content"), sample)
    parts = [part["text"] for part in _list(content) if isinstance(part.get("text"), str)]
    return content if isinstance(content, str) else "\n".join(parts)


def _message(value: Any, sample: Mapping[str, Any]) -> Any:
    """Return a message of the chat in our form; one without a role is returned as it is, and refused later."""
    if not isinstance(value, Mapping) or value.get("role") not in ROLES:
        return value
    message: dict[str, Any] = {"role": value["role"], "content": _content(value.get("content"), sample)}
    calls = [
        {"id": str(call.get("id") or ""), "name": call.get("function"), "arguments": call.get("arguments")}
        for call in _list(value.get("tool_calls"))
        if isinstance(call, Mapping)
    ]
    if calls and value["role"] == "assistant":
        message["tool_calls"] = calls
    if isinstance(value.get("tool_call_id"), str):
        message["tool_call_id"] = value["tool_call_id"]
    return message


def _content(value: Any, sample: Mapping[str, Any]) -> Any:
    """Return text, or the parts of a message without thoughts."""
    if isinstance(value, str):
        return _attached(value, sample)
    parts = [each for each in _list(value) if isinstance(each, Mapping) and each.get("type") != "reasoning"]
    kept = [
        {**part, "text": _attached(part["text"], sample)} if isinstance(part.get("text"), str) else part
        for part in parts
    ]
    return kept or ""


def _attached(text: str, sample: Mapping[str, Any]) -> str:
    """Return a text that a log stores apart from its message."""
    found = None
    if text.startswith(_ATTACHED):
        found = _mapping(sample.get("attachments")).get(text.removeprefix(_ATTACHED))
    elif text.startswith(_IN_TRANSCRIPT):
        stored = _mapping(_mapping(sample.get("transcript")).get("content"))
        found = stored.get(text.removeprefix(_IN_TRANSCRIPT))
    return found if isinstance(found, str) else text


def _events_of(sample: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the events, which logs of 2024 have in a transcript."""
    given = sample.get("events", _mapping(sample.get("transcript")).get("events"))
    return [each for each in _list(given) if isinstance(each, Mapping)]


def _steps(found: Collector, place: str, sample: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the steps that the events record."""
    events = _events_of(sample)
    began = next((at for each in events if (at := _time(each.get("timestamp"))) is not None), None)
    steps: list[dict[str, Any]] = []
    for event in events:
        kind = event.get("event")
        if kind == "tool":
            error, result = event.get("error"), event.get("result")
            step: dict[str, Any] = {
                "kind": "tool",
                "name": event.get("function"),
                "call_id": event.get("id") if isinstance(event.get("id"), str) else "",
                "arguments": event.get("arguments"),
                "result": _attached(result, sample) if isinstance(result, str) else result,
                **({"error": str(_mapping(error).get("message") or error)} if error else {}),
            }
        elif kind == "model":
            usage = _tokens(_mapping(_mapping(event.get("output")).get("usage")))
            step = {"kind": "llm", "name": str(event.get("model") or ""), **({"usage": usage} if usage else {})}
        elif kind == "approval":
            decision = event.get("decision")
            call = _mapping(event.get("call"))
            if not isinstance(decision, str) or decision not in _DECISIONS:
                found.lose(place, f"an approval that decides {str(decision)[:40]!r}", "see the log")
                continue
            step = {"kind": "approval", "name": str(call.get("function") or ""), "decision": _DECISIONS[decision]}
            step["arguments"] = call.get("arguments")
        else:
            continue
        steps.append({**step, **_times(event, began)})
    return steps


def _times(event: Mapping[str, Any], began: float | None) -> dict[str, float]:
    started, ended = _time(event.get("timestamp")), _time(event.get("completed"))
    found = {}
    if began is not None and started is not None and started >= began:
        found["started_s"] = round(started - began, 6)
        if ended is not None and ended >= started:
            found["ended_s"] = round(ended - began, 6)
    return found


def _time(value: Any) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _usage(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokens of all models together; without a count for each model, those of all calls."""
    models = _mapping(sample.get("model_usage"))
    used = [(str(name), each) for name, each in models.items()]
    if not models:
        calls = [each for each in _events_of(sample) if each.get("event") == "model"]
        used = [(str(call.get("model") or ""), _mapping(call.get("output")).get("usage")) for call in calls]
    counts = [_tokens(_mapping(each)) for _, each in used]
    if not counts or not all(counts):
        return {}
    total = {name: sum(each[name] for each in counts) for name in ("input_tokens", "output_tokens")}
    names = {name for name, _ in used if name}
    return {**total, **({"model": names.pop()} if len(names) == 1 else {})}


def _tokens(usage: Mapping[str, Any]) -> dict[str, int]:
    """Return the tokens of one model; nothing if either is unknown."""
    found = {name: usage.get(name) for name in ("input_tokens", "output_tokens")}
    known = all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in found.values())
    return {name: value for name, value in found.items() if isinstance(value, int)} if known else {}


def _recorded(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the scorers of inspect said; C, I, P and N as the numbers that inspect counts."""
    found = {}
    for name, score in _mapping(sample.get("scores", {"score": sample.get("score")})).items():
        given = _mapping(score)
        texts = {key: given[key] for key in ("answer", "explanation") if isinstance(given.get(key), str)}
        value = given.get("value")
        parts = {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, Mapping) else {name: value}
        for part, each in parts.items() if given else ():
            number = _GRADES.get(each, each) if isinstance(each, str) else each
            found[own_field(part)] = {"value": number, **texts}
    return found


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
