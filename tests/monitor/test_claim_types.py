"""Claims of production by type: a rate for each type and cohort, and answers without a claim are not ungraded."""

import json
from pathlib import Path
from typing import Any

from monitor_lab import MONITOR, START, MonitorLab, row

from evalkit.monitor.series import SERIES, Series, Stream
from evalkit.monitor.streams import is_watched
from evalkit.testing import FakeModel

CLAIMS = MONITOR.replace("scorers: [", "scorers: [{claims: {by_type: true}}, ")
DOC_CLAIMS = ("The office is open on weekdays.", "The fee is 10 EUR.")
DOC = " ".join(DOC_CLAIMS)


def reply(request: dict[str, Any]) -> str:
    """List the sentences of the answer, and find those in the passage that it has word by word."""
    sent = next(turn["content"] for turn in request["messages"] if turn["role"] == "user")
    answer = sent.replace(DOC, "")
    claims = [text for text in (*DOC_CLAIMS, "The fee is 12 EUR.") if text in answer]
    if "CLAIM-1" not in sent:
        return json.dumps({"claims": claims})
    verdicts = [
        {"claim": at, "quote": claim if claim in DOC else "", "verdict": "SUPPORTED" if claim in DOC else "UNSUPPORTED"}
        for at, claim in enumerate(claims, 1)
    ]
    return json.dumps({"verdicts": verdicts})


def test_each_type_of_claim_has_a_rate_by_cohort(tmp_path: Path) -> None:
    """Figures are wrong in loans alone; other claims are right everywhere, and greetings lower no coverage."""
    with FakeModel(reply) as model:
        judge = f'judge: {{chat: {{model: toy, base_url: "{model.base_url}"}}}}\nsample: {{most: 1}}\n'
        lab = MonitorLab(tmp_path, CLAIMS + judge)
        rows = []
        for i in range(180):
            topic = ("cards", "loans", "cards")[i % 3]
            fee = 12 if topic == "loans" else 10
            answer = "Hello!" if i % 9 == 0 else f"The fee is {fee} EUR. The office is open on weekdays."
            rows.append(row(i, i, topic=topic, answer=answer, docs=[DOC]))
        lab.log(rows)
        taken = lab.take()
    assert taken.unjudged.n == 0
    with Series(lab.folder / SERIES) as series:
        facts = {each.metric: each for each in series.facts()}
        day = int(START // 86_400)

        def mean(metric: str, cohort: str) -> float | None:
            return series.days(Stream(metric, cohort, facts[metric].score_key))[day].sums.mean

        assert mean("claims.numerical", "topic=loans") == 0.0
        assert mean("claims.numerical", "topic=cards") == 1.0
        assert mean("claims.faithfulness", "topic=loans") == 1.0
        assert mean("claims.scored", "") == 1.0
    assert all(is_watched(facts[f"claims.{kind}"], "topic=loans") for kind in ("numerical", "citation", "faithfulness"))
