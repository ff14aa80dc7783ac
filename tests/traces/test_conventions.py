"""What a span means, by GenAI, OpenInference and the older flavours; a file may mix them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from trace_lab import TRACE, document, event, model, only, output_of, read, span, steps_of


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"gen_ai.operation.name": "generate_content"}, "llm"),
        ({"gen_ai.operation.name": "text_completion"}, "llm"),
        ({"gen_ai.operation.name": "create_agent"}, "agent"),
        ({"gen_ai.operation.name": "invoke_workflow"}, "node"),
        ({"gen_ai.operation.name": "search_memory"}, "retrieval"),
        ({"gen_ai.operation.name": "embeddings"}, "embedding"),
        ({"gen_ai.operation.name": "a new one"}, "other"),
        ({"openinference.span.kind": "CHAIN"}, "node"),
        ({"openinference.span.kind": "RERANKER"}, "retrieval"),
        ({"openinference.span.kind": "GUARDRAIL"}, "guardrail"),
        ({"openinference.span.kind": "EVALUATOR"}, "other"),
        ({"openinference.span.kind": "agent"}, "agent"),
        ({"traceloop.span.kind": "workflow"}, "node"),
        ({"llm.request.type": "chat"}, "llm"),
        ({"ai.operationId": "ai.generateText"}, "agent"),
        ({"ai.operationId": "ai.streamText.doStream"}, "llm"),
        ({"ai.operationId": "ai.embed.doEmbed"}, "embedding"),
        ({"http.request.method": "GET"}, "other"),
    ],
)
def test_kinds(tmp_path: Path, attributes: dict[str, Any], kind: str) -> None:
    """As the tables of the conventions say; what none of them knows is a step of kind other."""
    answer = only(tmp_path, model(1), span(2, 1, attributes, name="x"))
    assert output_of(answer)["trajectory"][1]["kind"] == kind


def test_openinference(tmp_path: Path) -> None:
    """Messages may be numbered from 1, their text in parts; cost, passages and the session are read."""
    llm = {
        "openinference.span.kind": "LLM",
        "llm.model_name": "toy",
        "llm.input_messages.1.message.role": "system",
        "llm.input_messages.1.message.content": "Be short.",
        "llm.input_messages.10.message.role": "user",
        "llm.input_messages.10.message.contents.0.message_content.type": "text",
        "llm.input_messages.10.message.contents.0.message_content.text": "When do you open?",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "At 9.",
        "llm.token_count.prompt": 40,
        "llm.token_count.completion": 4,
        "llm.cost.total": 0.25,
    }
    documents = {
        "openinference.span.kind": "RETRIEVER",
        "retrieval.documents.0.document.content": "Open 9-17.",
        "retrieval.documents.0.document.score": 0.5,
        "retrieval.documents.0.document.id": "d1",
        "retrieval.documents.1.document.content": "Closed on Sunday.",
    }
    root = {"openinference.span.kind": "CHAIN", "session.id": "s-1"}
    answer = only(tmp_path, span(1, 0, root, at=(1, 9)), span(2, 1, documents), span(3, 1, llm))
    output = output_of(answer)
    assert (answer.case, answer.asked, output["text"]) == ("s-1", ("When do you open?",), "At 9.")
    assert output["contexts"] == [{"id": "d1", "text": "Open 9-17.", "score": 0.5}, "Closed on Sunday."]
    assert output["usage"] == {"input_tokens": 40, "output_tokens": 4, "cost_usd": 0.25, "model": "toy"}
    assert output["tool_calls"] == []


def test_genai_messages(tmp_path: Path) -> None:
    """Structured attributes as well as JSON texts; `result` and `response` of a tool; other parts are named."""
    asked = [
        {"role": "user", "parts": [{"type": "text", "content": "Refund A-17."}, {"type": "uri", "uri": "x"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "get", "arguments": {"id": "A-17"}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "result": {"total": 20}}]},
    ]
    called = {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, asked[1]["parts"][0]]}
    first = span(2, 1, {"gen_ai.operation.name": "chat", "gen_ai.output.messages": [called]})
    second = model(3, 1, said=None, attributes={"gen_ai.input.messages": asked, "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": "Done."}]}])})  # fmt: skip
    found = read(tmp_path, document(span(1, 0, {"gen_ai.operation.name": "invoke_agent"}, at=(1, 9)), first, second))
    assert [note.what for note in found.notes] == ["not read: a part of `gen_ai.input.messages` that is not text (uri)"]
    (answer,) = found.answers
    assert answer.asked == ("Refund A-17.",)
    assert output_of(answer)["text"] == "Done."
    (call,) = steps_of(answer, "tool")
    assert (call["name"], call["arguments"], call["call_id"], call["result"]) == (
        "get",
        {"id": "A-17"},
        "c1",
        {"total": 20},
    )


def test_events_up_to_1_36(tmp_path: Path) -> None:
    """As events of the span, and as logs whose body has the message."""
    asks = event("gen_ai.user.message", {"content": "When?"})
    calls = [{"id": "c1", "type": "function", "function": {"name": "hours", "arguments": '{"day": "mon"}'}}]
    says = event("gen_ai.choice", {"index": 0, "message": json.dumps({"content": "At 9.", "tool_calls": calls})})
    answer = only(tmp_path, model(1, said=None, events=[asks, says]))
    assert (answer.asked, output_of(answer)["text"]) == (("When?",), "At 9.")
    assert [(step["name"], step["arguments"]) for step in steps_of(answer, "tool")] == [("hours", {"day": "mon"})]
    body = {"kvlistValue": {"values": [{"key": "message", "value": {"kvlistValue": {"values": [
        {"key": "content", "value": {"stringValue": "At ten."}}]}}}]}}  # fmt: skip
    log = {"traceId": TRACE, "spanId": f"{1:016x}", "eventName": "gen_ai.choice", "body": body}
    assert output_of(only(tmp_path, model(1, said=None), logs=(log,)))["text"] == "At ten."


def test_openllmetry(tmp_path: Path) -> None:
    """Numbered prompts and completions, entities, and the session among the properties."""
    root = {
        "traceloop.span.kind": "workflow",
        "traceloop.entity.name": "shop",
        "traceloop.association.properties.session_id": "s-2",
        "traceloop.association.properties.evalkit.case_id": "case-2",
    }
    llm = {
        "llm.request.type": "chat",
        "gen_ai.response.model": "toy",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Refund A-17.",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.finish_reason": "tool_calls",
        "gen_ai.completion.0.tool_calls.0.id": "c1",
        "gen_ai.completion.0.tool_calls.0.name": "refund",
        "gen_ai.completion.0.tool_calls.0.arguments": '{"order": "A-17"}',
        "gen_ai.usage.prompt_tokens": 7,
        "gen_ai.usage.completion_tokens": 3,
    }
    tool = {
        "traceloop.span.kind": "tool",
        "traceloop.entity.name": "refund",
        "traceloop.entity.input": '{"inputs": {"order": "A-17"}}',
        "traceloop.entity.output": '{"output": "ok"}',
    }
    answer = only(tmp_path, span(1, 0, root, at=(1, 9)), span(2, 1, llm), span(3, 1, tool))
    assert (answer.case, answer.names, answer.asked) == ("case-2", ("s-2", TRACE), ("Refund A-17.",))
    (call,) = steps_of(answer, "tool")
    assert (call["name"], call["arguments"], call["result"]) == ("refund", {"order": "A-17"}, "ok")
    assert output_of(answer)["usage"] == {"input_tokens": 7, "output_tokens": 3}


def test_vercel(tmp_path: Path) -> None:
    """The operation around the model's calls is the agent, whose tokens are not counted again."""
    outer = {
        "ai.operationId": "ai.generateText",
        "ai.prompt": '{"prompt": "Refund A-17."}',
        "ai.response.text": "Done.",
        "ai.usage.promptTokens": 20,
        "ai.usage.completionTokens": 4,
        "ai.telemetry.metadata.sessionId": "s-3",
    }
    inner = {
        "ai.operationId": "ai.generateText.doGenerate",
        "ai.response.toolCalls": json.dumps([{"toolCallId": "c1", "toolName": "refund", "args": {"order": "A-17"}}]),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 2,
    }
    tool = {"ai.toolCall.name": "refund", "ai.toolCall.id": "c1", "ai.toolCall.args": '{"order": "A-17"}'}
    last = {"ai.operationId": "ai.generateText.doGenerate", "ai.response.text": "Done.", "ai.usage.inputTokens": 10,
            "ai.usage.outputTokens": 2}  # fmt: skip
    answer = only(tmp_path, span(1, 0, outer, at=(1, 9)), span(2, 1, inner), span(3, 1, tool), span(4, 1, last))
    output = output_of(answer)
    assert (answer.case, answer.asked, output["text"]) == ("s-3", ("Refund A-17.",), "Done.")
    assert (output["usage"]["input_tokens"], output["usage"]["output_tokens"]) == (20, 4)
    assert [(step["name"], step["call_id"]) for step in steps_of(answer, "tool")] == [("refund", "c1")]
