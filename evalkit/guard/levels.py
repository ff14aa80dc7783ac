"""Score an answer at each level of a guard: by rules, by a local entailment model, by a judge."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from evalkit.errors import InputError, Problem
from evalkit.guard.settings import GuardSettings, LevelName
from evalkit.scorers.base import Services
from evalkit.scorers.judges.claims import Claims
from evalkit.scorers.judges.local_entailment import (
    LocalEntailment,
    NliModel,
    Probabilities,
    deciding,
    load_entailment,
)
from evalkit.scorers.rules.claim_types import ClaimType, claim_type, claims_score
from evalkit.scorers.rules.facts import KnownFacts, Sources, facts_score, find_facts
from evalkit.scorers.rules.length import sentences
from evalkit.types import Case, Output, Unscored

if TYPE_CHECKING:
    from evalkit.llm.client import ChatClient
    from evalkit.llm.config import ChatConfig

MOST_PAIRS = 1_000
"""Largest number of sentences x contexts for the local model."""
ClaimVerdict = Literal["supported", "unsupported", "contradicted"]


@dataclass(frozen=True, slots=True)
class CheckedClaim:
    """A claim of an answer, and whether the contexts support it."""

    text: str
    type: ClaimType
    verdict: ClaimVerdict
    quote: str = ""
    """Words of a context that decide, if the level names them."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What one level found."""

    score: float | None
    """1 - (unsupported + 2 contradicted) / claims, at least 0; `None` if the answer makes no claim."""
    claims: tuple[CheckedClaim, ...]

    @property
    def compared_score(self) -> float:
        """The score that thresholds are compared with: 1 for an answer without a claim, because none can be wrong."""
        return 1.0 if self.score is None else self.score


class LevelFailed(Exception):
    """A level cannot score an answer."""


class GuardLevel(Protocol):
    """Scores answers."""

    @property
    def name(self) -> LevelName:
        """Its name."""

    @property
    def key(self) -> Mapping[str, str]:
        """Everything that its scores depend on."""

    async def check(self, case: Case, output: Output) -> Checked:
        """Score one answer.

        Raises:
            LevelFailed: it cannot be scored.
        """

    async def close(self) -> None:
        """Close its connections."""


class RulesLevel:
    """Looks up numbers, dates, quotes and cited sources; it needs no model."""

    name: LevelName = "rules"

    @property
    def key(self) -> Mapping[str, str]:
        """The version of the scorer `facts`."""
        return {"scorer": f"facts {KnownFacts.version}"}

    async def check(self, case: Case, output: Output) -> Checked:
        """Look up the facts of an answer, in a thread, so that a long answer does not hold up others."""
        sources = Sources(output.contexts or (), output.origins, case.question)
        facts = await asyncio.to_thread(find_facts, output.text, sources)
        claims = (
            CheckedClaim(fact.text, fact.type, "supported" if fact.supported else "unsupported") for fact in facts
        )
        return Checked(facts_score(facts), tuple(claims))

    async def close(self) -> None:
        """Do nothing."""


class NliLevel:
    """Asks a local model whether a context entails each sentence."""

    name: LevelName = "nli"

    def __init__(self, model: LocalEntailment) -> None:
        self._model = model

    @property
    def key(self) -> Mapping[str, str]:
        """The model."""
        return {**self._model.key, "scorer": "sentences 1"}

    async def check(self, case: Case, output: Output) -> Checked:
        """Compare each sentence with each context; the context that entails it decides, else one that denies it."""
        contexts = [text for text in output.contexts or () if text.strip()]
        found = sentences(output.text)
        if not contexts:
            raise LevelFailed("missing_contexts: sentences are checked against contexts; there are none")
        if len(found) * len(contexts) > MOST_PAIRS:
            raise LevelFailed(f"nli_too_long: {len(found) * len(contexts)} pairs, at most {MOST_PAIRS} are compared")
        pairs = [(context, sentence) for sentence in found for context in contexts]
        try:
            said = await asyncio.to_thread(self._model.entail, pairs)
        except ValueError as error:
            raise LevelFailed(f"nli_too_long: {error}") from None
        n = len(contexts)
        decided = (deciding(said[at * n : (at + 1) * n]) for at in range(len(found)))
        claims = tuple(
            CheckedClaim(sentence, claim_type(sentence, has_contexts=True), _verdict(given))
            for sentence, given in zip(found, decided, strict=True)
        )
        return Checked(claims_score([claim.verdict for claim in claims]), claims)

    async def close(self) -> None:
        """Do nothing."""


def _verdict(given: Probabilities) -> ClaimVerdict:
    entails, neutral, denies = given
    if entails > max(neutral, denies):
        return "supported"
    return "contradicted" if denies > max(entails, neutral) else "unsupported"


class JudgeLevel:
    """Asks a judge about each claim."""

    name: LevelName = "judge"

    def __init__(self, config: ChatConfig, env: Mapping[str, str]) -> None:
        self._config, self._env = config, env
        self._client: ChatClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def key(self) -> Mapping[str, str]:
        """The model, its settings, and the prompts of the scorer `claims`."""
        from evalkit.scorers.judges.identity import settings_hash

        bound = Claims().bind(Services(Path()))
        return {
            "scorer": f"claims {Claims.version}",
            "prompt": bound.key_parts["prompt"],
            "judge": self._config.model,
            "settings": settings_hash(self._config),
        }

    async def check(self, case: Case, output: Output) -> Checked:
        """Ask the judge for the claims and for their verdicts: two calls."""
        client = await self._opened()
        grade = await Claims().bind(Services(Path(), llm=client)).opinion(case, output)
        if isinstance(grade, Unscored):
            if grade.kind == "no_claims":
                return Checked(None, ())
            raise LevelFailed(f"{grade.kind}: {grade.message}")
        found = grade.details["claims"]
        claims = tuple(CheckedClaim(one["claim"], one["type"], one["verdict"], one["quote"]) for one in found)
        return Checked(claims_score([claim.verdict for claim in claims]), claims)

    async def _opened(self) -> ChatClient:
        """Return the client of the running loop."""
        from evalkit.llm.client import ChatClient

        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            await self.close()
            client = ChatClient(self._config, env=self._env)
            self._client, self._loop = await client.__aenter__(), loop
        return self._client

    async def close(self) -> None:
        """Close the connections to the judge, if they belong to the running loop."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.__aexit__(None, None, None)


@dataclass(frozen=True, kw_only=True)
class GuardModels:
    """The models that a guard may ask, and what opens them."""

    judge: ChatConfig | None = None
    nli: NliModel | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment with the key of the judge."""
    root: Path = Path()
    """Folder that the path of the local model is relative to."""

    def levels(self, place: str) -> tuple[GuardLevel, ...]:
        """Return every level that can be asked, in order.

        Args:
            place: names the local model in messages.

        Raises:
            InputError: the local model cannot be used.
        """
        levels: list[GuardLevel] = [RulesLevel()]
        if self.nli is not None:
            levels.append(NliLevel(load_entailment(self.nli, self.root, place)))
        if self.judge is not None:
            levels.append(JudgeLevel(self.judge, self.env))
        return tuple(levels)


def open_levels(settings: GuardSettings, env: Mapping[str, str], root: Path, shown: str) -> tuple[GuardLevel, ...]:
    """Return the levels of a guard, in the order in which they are asked.

    Args:
        settings: of the guard.
        env: environment with the key of the judge.
        root: folder of the guard's file.
        shown: name of the file in messages.

    Raises:
        InputError: a level's thresholds belong to other scores than those of this version and these models.
    """
    models = GuardModels(
        judge=settings.judge if "judge" in settings.levels else None,
        nli=settings.nli if "nli" in settings.levels else None,
        env=env,
        root=root,
    )
    levels = [level for level in models.levels(f"{shown} nli") if level.name in settings.levels]
    for level in levels:
        stored = settings.levels[level.name].key
        parts = sorted(part for part in {*stored, *level.key} if stored.get(part) != level.key.get(part))
        if parts:
            what = f"the thresholds of {level.name} belong to other scores ({', '.join(parts)})"
            raise InputError(Problem(shown, what, "write the file again with `evalkit monitor thresholds`"))
    return tuple(levels)
