"""Model the shop that the agent works on: orders, and the tools that read and change them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evalkit import ToolError

LIMIT_EUR = 100.0
"""Largest refund that the desk pays without an approval."""


class Shop:
    """The environment of one conversation.

    Its state is `{orders: {id: {item, total_eur, status, postcode, address, refunds_eur}}}`. A status is `open`,
    `shipped`, `delivered`, `returned`, `part refunded`, `refunded` or `cancelled`.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.state: Mapping[str, Any] = state
        self._tools: Mapping[str, Callable[..., Any]] = {
            "get_order": self._get_order,
            "refund": self._refund,
            "refund_above_limit": self._refund_above_limit,
            "cancel_order": self._cancel,
            "change_address": self._change_address,
        }

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools, described for a model."""
        return [
            _tool("get_order", "Look up an order of a customer who knows its postcode.", postcode="string"),
            _tool("refund", "Pay back up to 100 EUR for a returned order.", amount_eur="number"),
            _tool("refund_above_limit", "Pay back more than 100 EUR; needs an approval.", amount_eur="number"),
            _tool("cancel_order", "Cancel an order that is not shipped."),
            _tool("change_address", "Deliver an order that is not shipped elsewhere.", address="string"),
        ]

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Run a tool.

        Raises:
            ToolError: there is no such tool or order, or the order does not allow it.
        """
        if name not in self._tools:
            raise ToolError(f"no tool called {name}")
        order = self.state["orders"].get(arguments.get("order_id"))
        if order is None:
            raise ToolError(f"no order {arguments.get('order_id')}")
        return self._tools[name](order, **{key: value for key, value in arguments.items() if key != "order_id"})

    def _get_order(self, order: dict[str, Any], postcode: str) -> dict[str, Any]:
        if order["postcode"] != postcode:
            raise ToolError("the postcode is not that of the order")
        return {key: order[key] for key in ("item", "total_eur", "status", "address")}

    def _refund(self, order: dict[str, Any], amount_eur: float) -> dict[str, Any]:
        if amount_eur > LIMIT_EUR:
            raise ToolError(f"denied: {amount_eur:.2f} EUR is above the limit of {LIMIT_EUR:.2f} EUR")
        return self._pay(order, amount_eur)

    def _refund_above_limit(self, order: dict[str, Any], amount_eur: float) -> dict[str, Any]:
        return self._pay(order, amount_eur)

    def _pay(self, order: dict[str, Any], amount_eur: float) -> dict[str, Any]:
        if order["status"] not in ("returned", "part refunded"):
            raise ToolError(f"the order is {order['status']}, not returned")
        paid_eur = sum(order["refunds_eur"]) + amount_eur
        if paid_eur > order["total_eur"]:
            raise ToolError("more than the customer paid")
        order["refunds_eur"].append(amount_eur)
        order["status"] = "refunded" if paid_eur == order["total_eur"] else "part refunded"
        return {"refunded_eur": amount_eur}

    def _cancel(self, order: dict[str, Any]) -> dict[str, Any]:
        self._must_be_open(order)
        order["status"] = "cancelled"
        return {"status": "cancelled"}

    def _change_address(self, order: dict[str, Any], address: str) -> dict[str, Any]:
        self._must_be_open(order)
        order["address"] = address
        return {"address": address}

    def _must_be_open(self, order: dict[str, Any]) -> None:
        if order["status"] != "open":
            raise ToolError(f"the order is {order['status']}")


def _tool(name: str, description: str, **arguments: str) -> dict[str, Any]:
    """Describe a tool as OpenAI does; each takes an order."""
    types = {"order_id": "string", **arguments}
    properties = {key: {"type": kind} for key, kind in types.items()}
    parameters = {"type": "object", "properties": properties, "required": list(types), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
