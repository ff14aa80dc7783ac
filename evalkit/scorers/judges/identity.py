"""Identify a judge: its name in metrics and reports, and its part of a score key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.llm.config import ChatConfig


def judge_name(client: ChatClient | None, panel: Sequence[ChatClient] = ()) -> str:
    """Return the name of a judge, or of a panel."""
    if client is None:
        return "chat"
    return "chat:" + "+".join(member.model for member in (client, *panel))


def judge_key(client: ChatClient | None, panel: Sequence[ChatClient] = ()) -> Mapping[str, str]:
    """Return the parts of a score key that depend on the judge endpoints."""
    members = (client, *panel) if client else ()
    settings = "+".join(settings_hash(member.config) for member in members) or "none"
    return {"judge": judge_name(client, panel), "settings": settings}


def settings_hash(config: ChatConfig) -> str:
    """Return the hash of the settings that can change a grade: no timeouts, prices or keys."""
    address = config.base_url.rstrip("/")
    settings = [config.temperature, config.max_tokens, config.seed, address, dict(config.headers), config.dialect]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
