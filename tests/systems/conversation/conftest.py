"""What the tests of conversations share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from evalkit.formats.build import Builder
from evalkit.formats.yaml_text import parse
from evalkit.systems.conversation.loop import ConversationSetup, conversing
from evalkit.systems.conversation.mocks import MockEnvironment, Mocks
from evalkit.systems.conversation.settings import ConversationSettings
from evalkit.types import Case, Failure, Output

ORDERS = """\
tools:
  get_order:
    rules: [{from: "orders.{order_id}"}]
  refund:
    writes: true
    rules:
      - {when: {order_id: A-17}, times: 1, error: timeout}
      - {when: {order_id: A-17}, set: {"orders.{order_id}.status": refunded}, returns: {ok: true, order: "{order_id}"}}
      - {error: "no such order: {order_id}"}
"""


def read_mocks(text: str) -> Mocks:
    """Build mocks from YAML; a problem fails the test."""
    builder = Builder(parse(text.encode(), "mocks.yaml"))
    mocks = builder.build(Mocks, builder.document.value, ())
    assert not builder.problems, builder.problems
    return mocks


@pytest.fixture
def orders() -> Mocks:
    """Two tools over a state of orders."""
    return read_mocks(ORDERS)


Agent = Callable[..., Any]


@pytest.fixture
def converse(orders: Mocks) -> Callable[..., Output | Failure]:
    """Lead one conversation with an agent: a function of the fields that a system is given."""

    def lead(agent: Agent, row: Mapping[str, Any], mocks: Mocks | None = orders, **given: Any) -> Output | Failure:
        from evalkit.systems.base import timed
        from evalkit.systems.output import to_output

        parts = {
            name: given.pop(name) for name in ("simulate", "runs_tools", "before_turn", "tool_error") if name in given
        }
        setup = ConversationSetup(
            settings=ConversationSettings(**given),
            make_environment=None if mocks is None else partial(MockEnvironment, mocks),
            **parts,
        )

        async def answer(case: Case, repeat: int) -> Output | Failure:
            said = agent(case.fields, case)
            return to_output(await said if asyncio.iscoroutine(said) else said)

        fields = dict(row)
        case = Case(id="c", input=fields.pop("input", "first"), fields=fields)
        return asyncio.run(conversing(timed(answer, 2.0), setup)(case, 0))

    return lead
