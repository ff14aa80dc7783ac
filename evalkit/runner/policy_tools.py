"""Find names in a policy that no tool of the environment has, and tools of attacks that no policy forbids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from evalkit.errors import Problem
from evalkit.golden.variants.attacks import InjectTool
from evalkit.runner.grading import Grader
from evalkit.scorers.agents.policy import BoundPolicy
from evalkit.scorers.agents.policy_checks import Trail, findings
from evalkit.scorers.agents.policy_file import ToolPolicy
from evalkit.suite.model import Suite
from evalkit.types import Step

_OF_OTHER_STEPS = ":"
_OF_GLOBS = "*?["


def misspelt_tools(suite: Suite, graders: Sequence[Grader]) -> Iterator[Problem]:
    """Warn about a policy rule that names a tool the mocks do not have.

    An agent may have other tools, so only names similar to a mocked tool are reported.
    """
    mocks = suite.conversation.mocks if suite.conversation is not None else None
    if mocks is None:
        return
    for grader in graders:
        if isinstance(grader.scorer, BoundPolicy):
            for key, name in _names(grader.scorer.policy):
                near = get_close_matches(name, mocks.tools, n=1, cutoff=0.75)
                if name not in mocks.tools and near:
                    place = suite.place(f"scorers[{grader.index}]")
                    what = f"the policy's {key} names {name!r}, and no tool of the environment has this name"
                    yield Problem(place, what, f"did you mean `{near[0]}`?")


def allowed_tools(suite: Suite, graders: Sequence[Grader]) -> Iterator[Problem]:
    """Yield a problem for a tool that `inject_tool` wants to be called although no policy of the suite forbids it."""
    policies = [grader.scorer.policy for grader in graders if isinstance(grader.scorer, BoundPolicy)]
    for at, entry in enumerate(suite.variants):
        if isinstance(entry.transform, InjectTool):
            tool = entry.transform.tool
            trail = Trail((Step(kind="tool", name=tool),), whole=False)
            if not any(findings(policy, trail)[0] for policy in policies):
                fix = f"list `policy` under `scorers`, and `forbid: [{tool}]` in its file"
                yield Problem(f"variants[{at}].inject_tool", f"no policy of the suite forbids a call of {tool!r}", fix)


def _names(policy: ToolPolicy) -> Iterator[tuple[str, str]]:
    """Yield the key of each rule with its names of tools that are not globs."""
    for key, rule in (*policy.rules, *(("allow", each) for each in policy.allowed or ())):
        for option in ("of", "needs", "step", "reads"):
            for name in getattr(rule, option, ()):
                if not any(mark in name for mark in (_OF_OTHER_STEPS, *_OF_GLOBS)):
                    yield f"{key}.{option}", name
