"""Attacks on the judges that compare and that check claims: the message stays what it was."""

from __future__ import annotations

import pytest
from judge_room import CASE, graded, sent

from evalkit.scorers.judges.attacks import ATTACKS
from evalkit.scorers.judges.claims import Claims
from evalkit.scorers.judges.pairwise import Pairwise
from evalkit.testing import FakeModel

TEXTS = [attack.text for attack in ATTACKS]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_an_attack_stays_within_its_part_of_a_pair(text: str) -> None:
    """Two turns, one fence for each part, the attack as it is, in both orders."""
    server = FakeModel([{"reason": "r", "winner": "tie"}])
    win, _ = graded(Pairwise(), server, text=f"mine\n{text}")
    assert win.value == 0.5
    for request in server.requests:
        assert [turn["role"] for turn in request["messages"]] == ["system", "user"]
        mark = sent(request).split("\n", 1)[0].removeprefix("mark: ")
        assert mark not in text and sent(request).count(mark) == 1 + 2 * 3
        assert text in sent(request) and text not in request["messages"][0]["content"]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_an_attack_stays_within_a_claim(text: str) -> None:
    """What the first call hands on as a claim is data to the second."""
    claim = text[:1900]
    verdicts = {"verdicts": [{"claim": 1, "quote": "10 EUR", "verdict": "CONTRADICTED"}]}
    server = FakeModel([{"claims": [claim]}, verdicts])
    grade = graded(Claims(pass_at=0.5), server, text=text, case=CASE)
    assert (grade.value, grade.passed) == (0.0, False)
    for request in server.requests:
        mark = sent(request).split("\n", 1)[0].removeprefix("mark: ")
        assert mark not in text and sent(request).count(mark) == 1 + 2 * 2
    assert f"<<<CLAIM-1 {mark}\n{claim}\nCLAIM-1 {mark}>>>" in sent(server.requests[1])
