"""Ways to make a red pull request green: each is applied to a change that breaks five cases, in a real repository."""
# ruff: noqa: E501 - one line a cheat

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cheat_project import BOT, BROKEN, IDS, LABELS, Change, Cheat, Repository

DOCS = Path(__file__).parents[2] / "docs" / "ci.md"
PUT_BACK = "passed before and fail now: c03, c11, c22, c37, c58"
NO_REGRESSION = "  - no_regression: {baseline: main, metrics: [pass_rate, keywords]}\n"
FAILURES = "  - failures: {severity: critical, max: 0}\n"


def edit(**fields: Any) -> Change:
    """Change some fields of the cases that break."""
    return lambda repository: repository.cases(dict.fromkeys(BROKEN, fields))


def each(make: Any) -> Change:
    """Change each of the cases that break by its number."""
    return lambda repository: repository.cases({case_id: make(IDS.index(case_id)) for case_id in BROKEN})


def suite(*swaps: tuple[str, str]) -> Change:
    """Change the suite file."""

    def change(repository: Repository) -> None:
        for before, after in swaps:
            repository.swap("suite.yaml", before, after)

    return change


def unscored(*swaps: tuple[str, str]) -> Change:
    """Change a scorer and take out the comparison, which would refuse other scores."""
    return suite(*swaps, (NO_REGRESSION, ""))


def both(*changes: Change) -> Change:
    """Several changes at once."""
    return lambda repository: [change(repository) for change in changes]


def drop_failures(repository: Repository) -> None:
    """Take out the check that blocks."""
    repository.swap("suite.yaml", FAILURES, "")


def elsewhere(repository: Repository) -> None:
    """Point the suite at a copy of the golden set without the cases that break."""
    old = repository.read("data/cases.jsonl")
    repository.cases(dict.fromkeys(BROKEN))
    repository.write("data/fewer.jsonl", repository.read("data/cases.jsonl"))
    repository.write("data/cases.jsonl", old)
    repository.swap("suite.yaml", "data/cases.jsonl", "data/fewer.jsonl")


def moved(name: str, text: tuple[str, str] | None = None) -> Change:
    """Move the suite and loosen it on the way."""

    def change(repository: Repository) -> None:
        body = repository.read("suite.yaml").replace(FAILURES, "")
        (repository.root / "suite.yaml").unlink()
        repository.write("other.yaml", body if text is None else body.replace(*text))

    return change


def copied(repository: Repository) -> None:
    """Leave the suite alone and run a looser copy under another name."""
    body = repository.read("suite.yaml").replace(FAILURES, "").replace("name: sums", "name: totals")
    repository.write("loose.yaml", body)


def baseline_replaced(repository: Repository) -> None:
    """Save the red run as the baseline."""
    repository.run("reports/red")
    repository.save(name="main")
    drop_failures(repository)


def red_run(folder: str) -> Change:
    """Put the folder of a red run somewhere."""

    def change(repository: Repository) -> None:
        shutil.rmtree(repository.root / folder, ignore_errors=True)
        repository.run(folder, baseline="none")

    return change


kept_in = red_run  # on the base the same run is green


def red_saved(repository: Repository) -> None:
    """Save the red run as the baseline."""
    repository.run("reports/red", baseline="none")
    repository.save(name="main")


def packed(repository: Repository) -> None:
    """Keep a run folder as an archive."""
    shutil.make_archive(str(repository.root / "main"), "zip", repository.root / "red")
    shutil.rmtree(repository.root / "red")


def no_baselines(repository: Repository) -> None:
    """Save no baseline at all."""
    shutil.rmtree(repository.root / "reports" / "baselines")


def linked(name: str, target: str) -> Change:
    """Move a file or folder, and leave a link where it was."""

    def change(repository: Repository) -> None:
        place, real = repository.root / name, repository.root / target
        if real.exists():
            shutil.rmtree(place)
        else:
            place.rename(real)
        place.symlink_to(os.path.relpath(real, place.parent))

    return change


def unlinked(repository: Repository) -> None:
    """Put a file where a link was."""
    text = repository.read("data/cases.jsonl")
    (repository.root / "data/cases.jsonl").unlink()
    repository.write("data/cases.jsonl", text)


def link_out(repository: Repository) -> None:
    """Link to a file that no commit holds."""
    outside = repository.root.with_name("outside.jsonl")
    outside.write_text(repository.read("data/cases.jsonl"), encoding="utf-8")
    (repository.root / "data/cases.jsonl").unlink()
    (repository.root / "data/cases.jsonl").symlink_to(outside)


def pointer(repository: Repository) -> None:
    """Keep the golden set elsewhere."""
    data = repository.read("data/cases.jsonl").encode()
    oid = hashlib.sha256(data).hexdigest()
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n"
    repository.write("data/cases.jsonl", text)


def untracked(repository: Repository) -> None:
    """Keep the golden set out of git."""
    repository.write(".gitignore", repository.read(".gitignore") + "data/cases.jsonl\n")
    repository.git("rm", "-q", "--cached", "data/cases.jsonl")


def in_evals(repository: Repository) -> None:
    """Have suite, bot and data in a folder, and the baseline at the top."""
    (repository.root / "evals").mkdir()
    for name in ("suite.yaml", "bot.py", "data", "shape.json"):
        (repository.root / name).rename(repository.root / "evals" / name)
    repository.swap("evals/suite.yaml", "bot:answer", "evals.bot:answer")
    repository.swap("evals/suite.yaml", FAILURES, "")


def nested_root(repository: Repository) -> None:
    """Make the folder a project of its own, with its own bot and baseline."""
    (repository.root / "evals/evals").mkdir()
    (repository.root / "evals/bot.py").rename(repository.root / "evals/evals/bot.py")
    repository.write("evals/pyproject.toml", "")
    repository.run("evals/reports/red", suite="evals/suite.yaml", baseline="none")
    repository.save(name="main", root=repository.root / "evals")
    shutil.rmtree(repository.root / "evals/reports/red")


def crowd(repository: Repository) -> None:
    """Add easy cases."""
    easy = {"input": "7 + 2", "required": ["9"], "reference": "9"}
    repository.cases({}, [{**easy, "id": f"e{i}", "cohorts": {"group": "right"}} for i in range(300)])


def blanked(repository: Repository) -> None:
    """Empty the lines of the cases that break, so that no other line moves."""
    lines = repository.read("data/cases.jsonl").splitlines()
    repository.write(
        "data/cases.jsonl", "".join("\n" if json.loads(line)["id"] in BROKEN else f"{line}\n" for line in lines)
    )


def gzipped(repository: Repository) -> None:
    """Name a packed golden set without the cases that break, and leave the old one."""
    old = repository.read("data/cases.jsonl")
    repository.cases(dict.fromkeys(BROKEN))
    (repository.root / "data/cases.jsonl.gz").write_bytes(gzip.compress(repository.read("data/cases.jsonl").encode()))
    repository.write("data/cases.jsonl", old)
    repository.swap("suite.yaml", "data/cases.jsonl", "data/cases.jsonl.gz")


def emptied_by_the_bot(repository: Repository) -> None:
    """Let the system's module take its cases out of the golden set while it is imported."""
    taking = (
        "import json, pathlib\n"
        "file = pathlib.Path(__file__).parent / 'data' / 'cases.jsonl'\n"
        "lines = file.read_text().splitlines(keepends=True)\n"
        f"file.write_text(''.join(line for line in lines if json.loads(line)['id'] not in {BROKEN!r}))\n"
    )
    repository.write("bot.py", taking + repository.read("bot.py"))


def suite_behind_a_link(repository: Repository) -> None:
    """Turn the suite into a link to a looser one."""
    body = repository.read("suite.yaml").replace(FAILURES, "")
    (repository.root / "suite.yaml").unlink()
    repository.write("loose.yml", body)
    (repository.root / "suite.yaml").symlink_to("loose.yml")


def named_like_main(repository: Repository) -> None:
    """Give a commit of the change the names of the target branch."""
    drop_failures(repository)
    repository.commit("loosen")
    for words in (["tag", "main"], ["tag", "origin/main"], ["branch", "origin/main"]):
        repository.git(*words, "HEAD")
    repository.write("notes.txt", "")


def without_history(repository: Repository) -> None:
    """Begin a history that has no commit in common with the target branch."""
    drop_failures(repository)
    repository.git("checkout", "-q", "--orphan", "fresh")


def set_aside(repository: Repository) -> None:
    """Put a red run where a baseline lies while another takes its place."""
    red_saved(repository)
    (repository.root / "reports/baselines/main").rename(repository.root / "reports/baselines/.main.old")
    drop_failures(repository)


def rows_beside(repository: Repository) -> None:
    """Put the rows of a red run beside the packed ones of the baseline."""
    repository.run("reports/red")
    shutil.copy(repository.root / "reports/red/rows.jsonl", repository.root / "reports/baselines/main/rows.jsonl")
    drop_failures(repository)


def own_scorer(repository: Repository) -> None:
    """Let the base have a scorer of its own that reads words through a helper."""
    repository.write("cheat_words.txt", "sum The\n")
    helper = "from pathlib import Path\n\ndef words():\n    return Path(__file__).with_name('cheat_' + 'words.txt').read_text().split()\n"
    repository.write("cheat_helper.py", helper)
    scorer = "import cheat_helper\n\ndef worded(output):\n    return all(word in str(output) for word in cheat_helper.words())\n"
    repository.write("cheat_scorer.py", scorer)
    call = "  - python: {call: 'cheat_scorer:worded', metric: {name: worded}}\n"
    repository.swap("suite.yaml", "cohorts: [group]", f"{call}cohorts: [group]")


def finding_scorer(repository: Repository) -> None:
    """Let the base have a scorer of its own that finds its words by a pattern, and a module by a name that it makes."""
    (repository.root / "words").mkdir()
    repository.write("words/kind.txt", "sum The\n")
    repository.write("words/strict.txt", "is\n")
    repository.write("found_rules.py", "ENOUGH = 2\n")
    code = "import importlib\nfrom pathlib import Path\n\ndef found(output):\n    files = Path(__file__).with_name('words').glob('*.txt')\n"
    code += "    words = [word for file in files for word in file.read_text().split()]\n"
    code += (
        "    return sum(word in str(output) for word in words) >= importlib.import_module('found_' + 'rules').ENOUGH\n"
    )
    repository.write("finding_scorer.py", code)
    repository.swap("suite.yaml", "cohorts: [group]", "  - python: {call: 'finding_scorer:found'}\ncohorts: [group]")


def agent_with_policy(repository: Repository) -> None:
    """Let the base have a bot that reports its tool calls, and a policy that limits them."""
    steps = "'trajectory': [{'kind': 'tool', 'name': 'add', 'arguments': {}}]"
    repository.swap("bot.py", "-> str", "-> dict")
    repository.swap("bot.py", 'f"The sum is {total}."', f"{{'text': f'The sum is {{total}}.', {steps}}}")
    repository.write("policy.yaml", "forbid: [delete]\nat_most: {of: add, n: 1}\n")
    repository.swap("suite.yaml", "cohorts: [group]", "  - policy: policy.yaml\ncohorts: [group]")


def policy(text: str, change: Change) -> Change:
    """Write another policy, with the check that blocks taken out."""
    return both(drop_failures, change, lambda repository: repository.write("policy.yaml", text))


def labels(rows: list[dict[str, Any]]) -> Change:
    """Write other labels, with the check that blocks taken out."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    return both(drop_failures, lambda repository: repository.write("data/labels.jsonl", text))


CHEATS: Mapping[str, tuple[Cheat, ...]] = {
    "removes cases, or names a golden set without them": (
        Cheat("cases removed", each(lambda i: None), "blocked", PUT_BACK),
        Cheat("golden set elsewhere", elsewhere, "blocked", f"5 cases removed .*{PUT_BACK}"),
        Cheat("ids renamed", each(lambda i: {"id": f"n{i}", "required": ["sum"]}), "blocked", f"5 cases removed .*{PUT_BACK}"),
        Cheat("cases removed and no_regression taken out", both(each(lambda i: None), suite((NO_REGRESSION, ""))), "blocked", r"(?s)gate no_regression.*5 cases removed .*fail now: c03"),
        Cheat("behind a link", each(lambda i: None), "blocked", PUT_BACK, base=linked("data/cases.jsonl", "data/real.jsonl")),
        Cheat("in a linked folder", each(lambda i: None), "blocked", PUT_BACK, base=linked("data", "real")),
        Cheat("through a link of a link", edit(required=["sum"]), "blocked", f"required; .*{PUT_BACK}", base=both(linked("data/cases.jsonl", "data/real.jsonl"), linked("data", "real"))),
        Cheat("a link that led to another file", both(each(lambda i: None), unlinked), "blocked", PUT_BACK, base=linked("data/cases.jsonl", "data/real.jsonl")),
        Cheat("in Git LFS", each(lambda i: None), "condition", "(?s)! golden set .*cases of main@.* cannot be read: it is kept in Git LFS.*! 5 cases removed .*passed before and fail now", base=pointer),
        Cheat("in Git LFS, without a baseline", both(each(lambda i: None), no_baselines, suite((NO_REGRESSION, ""))), "condition", "! golden set .*cannot be read: it is kept in Git LFS", base=pointer),
        Cheat("a link that leaves the repository", both(unlinked, each(lambda i: None)), "condition", "(?s)! golden set .*cannot be read: it is a link that leaves the repository.*! 5 cases removed .*passed before", base=link_out),
        Cheat("not in git", each(lambda i: None), "condition", r"(?s)! 5 cases removed .*passed before and fail now.*\ngolden set .*not on main@", base=untracked),
        Cheat("not in git, and no baseline", each(lambda i: None), "condition", "! golden set .*not on main@.*so cases that went are not known", base=both(untracked, no_baselines, suite((NO_REGRESSION, "")))),
        Cheat("not in git, and the baseline replaced", both(each(lambda i: None), red_saved, suite((NO_REGRESSION, ""))), "condition", "! baseline main .*are not those of main@", base=untracked),
        Cheat("cases removed and --baseline none", each(lambda i: None), "blocked", "baseline main → none", {"baseline": "none"}),
        Cheat("cases blanked out", blanked, "blocked", PUT_BACK),
        Cheat("a packed golden set with fewer cases", gzipped, "blocked", PUT_BACK),
        Cheat("the system empties the golden set", emptied_by_the_bot, "blocked", PUT_BACK),
    ),
    "edits cases: input, expectations, severity, kind, cohorts, cluster": (
        Cheat("required rewritten", edit(required=["sum"]), "blocked", f"required; .*{PUT_BACK}"),
        Cheat("required taken away", edit(required=None), "refused", "5 of 60 cases have no `required`"),
        Cheat("required emptied", edit(required=[]), "blocked", f"required; .*{PUT_BACK}"),
        Cheat("input rewritten", edit(input="0 + 1", required=["sum"]), "blocked", f"input, required; .*{PUT_BACK}"),
        Cheat("severity lowered", edit(severity="low"), "blocked", f"severity; .*{PUT_BACK}"),
        Cheat("kind turned into a canary", edit(kind="canary"), "blocked", f"kind; .*{PUT_BACK}"),
        Cheat("cohort moved", edit(cohorts={"group": "rest"}, severity="low"), "blocked", f"cohorts, severity; .*{PUT_BACK}"),
        Cheat("cluster joined", edit(cluster="one", required=["sum"]), "blocked", f"cluster, required; .*{PUT_BACK}"),
        Cheat("forbidden words added elsewhere", edit(forbidden=["never"], required=["sum"]), "blocked", "forbidden, required"),
        Cheat("one case removed and its check loosened", both(edit(severity="low"), suite(("max: 0", "max: 5"))), "condition", r"gate failures\(critical\).max 0 → 5"),
    ),
    "loosens, narrows or removes a check of the gate, or lets it only warn": (
        Cheat("check removed", drop_failures, "condition", r"! gate failures\(critical\) .* → removed"),
        Cheat("limit loosened", suite(("max: 0", "max: 9")), "condition", r"! gate failures\(critical\).max 0 → 9"),
        Cheat("severity of the check changed", suite(("severity: critical", "severity: high")), "condition", r"! gate failures\(critical\) .* → removed"),
        Cheat("check only warns", suite(("max: 0}", "max: 0, on_fail: warn}")), "condition", r"! gate failures\(critical\).on_fail block → warn"),
        Cheat("share lowered", both(drop_failures, suite(("min: 0.7", "min: 0.1"))), "condition", "! gate pass_rate.min 0.7 → 0.1"),
        Cheat("by removed", both(drop_failures, suite((", by: group, critical: [left]", ""))), "condition", "! gate pass_rate.by group → none"),
        Cheat("critical cohorts shortened", both(drop_failures, suite((", critical: [left]", ""))), "condition", "! gate pass_rate.critical left → none"),
        Cheat("coverage loosened", both(drop_failures, suite(("coverage: {min: 0.99}", "coverage: {min: 0.1}"))), "condition", "! gate coverage.min 0.99 → 0.1"),
        Cheat("evidence not required", both(drop_failures, suite(("require_evidence: true\n", ""))), "condition", "! require_evidence true → false", base=suite(("repeat: 1\n", "repeat: 1\nrequire_evidence: true\n"))),
        Cheat("names of the target branch on an own commit", named_like_main, "condition", r"! gate failures\(critical\) .* → removed"),
        Cheat("no history in common", without_history, "condition", r"! gate failures\(critical\) .* → removed"),
    ),
    "compares with nothing, with another baseline, or with a wider margin": (
        Cheat("no_regression taken out", both(drop_failures, suite((NO_REGRESSION, ""))), "condition", "! gate no_regression .* → removed"),
        Cheat("no_regression elsewhere", both(drop_failures, suite(("baseline: main", "baseline: mine"))), "condition", "! gate no_regression.baseline main → mine"),
        Cheat("alpha lowered", both(drop_failures, suite(("baseline: main", "alpha: 0.0001, baseline: main"))), "condition", "! gate no_regression.alpha none → 0.0001"),
        Cheat("margin widened", both(drop_failures, suite(("baseline: main", "margin: 0.5, baseline: main"))), "condition", "! gate no_regression.margin none → 0.5"),
        Cheat("metrics shortened", both(drop_failures, suite(("metrics: [pass_rate, keywords]", "metrics: [keywords]"))), "condition", "! gate no_regression.metrics pass_rate, keywords → keywords"),
        Cheat("--baseline none", drop_failures, "condition", r"(?s)! baseline main → none .*gate failures", {"baseline": "none"}),
        Cheat("baseline overwritten", baseline_replaced, "condition", "! baseline main .*manifest.json, rows.jsonl.gz and .* are not those of main@"),
        Cheat("baseline's decision edited", both(drop_failures, lambda r: r.write("reports/baselines/main/decision.json", r.read("reports/baselines/main/decision.json") + " ")), "condition", r"! baseline main .*\(decision.json is not that of main@"),
        Cheat("baseline in a folder replaced", both(red_run("base/main"), drop_failures), "condition", "! baseline base/main .*rows.jsonl, .* are not those of main@", base=both(kept_in("base/main"), suite(("baseline: main", "baseline: base/main")))),
        Cheat("folder of the flag replaced", both(red_run("base/main"), drop_failures), "condition", "! baseline base/main .*rows.jsonl, .* are not those of main@", {"baseline": "base/main"}, base=kept_in("base/main")),
        Cheat("file of the flag replaced", both(red_run("base/main"), drop_failures), "condition", "! baseline base/main/manifest.json .*rows.jsonl, .* are not those of main@", {"baseline": "base/main/manifest.json"}, base=kept_in("base/main")),
        Cheat("plain name of a folder replaced", both(red_run("golden"), drop_failures), "condition", "! baseline golden .*rows.jsonl, .* are not those of main@", base=both(kept_in("golden"), suite(("baseline: main", "baseline: golden")))),
        Cheat("archive replaced", both(red_run("red"), packed, drop_failures), "condition", r"! baseline main.zip .*\(main.zip is not that of main@", base=both(kept_in("red"), packed, suite(("baseline: main", "baseline: main.zip")))),
        Cheat("saved baseline put before a folder of that name", baseline_replaced, "condition", "! baseline main .*not on main@.*: this change brings it", base=both(kept_in("main"), no_baselines)),
        Cheat("baseline taken away, and a folder of that name put there", both(red_run("main"), no_baselines, drop_failures), "condition", "(?s)! baseline main .*are not those of main@.*! baseline main .*this change brings it"),
        Cheat("folder turned into a link", both(red_run("other"), linked("base/main", "other"), drop_failures), "condition", "! baseline base/main .*rows.jsonl, .* are not those of main@", base=both(kept_in("base/main"), suite(("baseline: main", "baseline: base/main")))),
        Cheat("a red run where a baseline lies aside", set_aside, "condition", "! baseline main .*are not those of main@"),
        Cheat("rows beside those of the baseline", rows_beside, "condition", r"! baseline main .*\(rows.jsonl is not that of main@"),
    ),
    "shortens `cohorts:`, draws a sample, displaces cases of one, has fewer calls in flight, or changes how repeats count": (
        Cheat("cohorts shortened", both(drop_failures, suite(("by: group, critical: [left]", "by: kind"), ("cohorts: [group]", "cohorts: [kind]"))), "condition", "! cohorts group → kind"),
        Cheat("a sample drawn", both(drop_failures, suite(("repeat: 1", "repeat: 1\nsample: {n: 20, floor: 5}"))), "condition", "! sample n not set → 20"),
        Cheat("easy cases that push others out of the sample", both(crowd, drop_failures, suite((NO_REGRESSION, ""))), "condition", r"(?s)! \d+ cases of the sample .*not drawn any more.*\n300 cases added", base=suite(("repeat: 1", "repeat: 1\nsample: {n: 20, floor: 2}"))),
        Cheat("the same, with a larger sample", both(crowd, drop_failures, suite((NO_REGRESSION, "")), suite(("n: 20", "n: 21"))), "condition", r"(?s)! \d+ cases of the sample .*not drawn any more", base=suite(("repeat: 1", "repeat: 1\nsample: {n: 20, floor: 2}"))),
        Cheat("the same, with a golden set that git does not keep", both(crowd, drop_failures, suite((NO_REGRESSION, ""))), "condition", r"(?s)! \d+ cases of the sample .*not drawn any more", base=both(untracked, suite(("repeat: 1", "repeat: 1\nsample: {n: 20, floor: 2}")))),
        Cheat("more repeats under a lenient rule", both(drop_failures, suite(("repeat: 1", "repeat: 3"))), "condition", "! repeat 1 → 3", base=suite(("repeat: 1", "repeat: 1\nrepeat_rule: any"))),
        Cheat("fewer calls in flight", both(drop_failures, suite(("repeat: 1", "repeat: 1\nconcurrency: 1"))), "condition", "! concurrency 16 → 1"),
        Cheat("repeat rule loosened", both(drop_failures, suite(("repeat: 1", "repeat: 1\nrepeat_rule: any"))), "condition", "! repeat_rule mean → any"),
        Cheat("another seed", both(drop_failures, suite((NO_REGRESSION, ""), ("seed: 1", "seed: 99"))), "condition", "! seed 1 → 99", base=suite(("repeat: 1", "repeat: 1\nseed: 1\nsample: {n: 20, floor: 2}"))),
    ),
    "runs a part of the cases, or stops early": (
        Cheat("a part of the cases", lambda repository: None, "no decision", "", {"case_ids": ("c00", "c01")}),
        Cheat("a deadline that leaves cases out", suite(("repeat: 1", "repeat: 1\ndeadline_s: 0.0001")), "no decision", "deadline_s none → 0.0001"),
    ),
    "names another system, model, argument, version or timeout, or another address for a vendor's models": (
        Cheat("another module", suite(("bot:answer", "other:answer")), "condition", "! system python bot:answer → other:answer"),
        Cheat("arguments", both(lambda repository: repository.write("bot.py", BOT.replace("id: str", "id: str, right: bool = False").replace("BROKEN = ()", f"BROKEN = {BROKEN!r}").replace("(id in BROKEN)", "(id in BROKEN and not right)")), suite(("timeout_s: 20", "timeout_s: 20, arguments: {right: true}"))), "condition", "! system arguments.right not set → true"),
        Cheat("version pinned", both(drop_failures, suite(("timeout_s: 20", "timeout_s: 20, version: '1'"))), "condition", "! system version not set → 1"),
        Cheat("address of a vendor", both(drop_failures, suite(("https://strict.example", "https://kind.example"))), "condition", "! vendors house.base_url https://strict.example.* → https://kind.example", base=suite(("name: sums", "name: sums\nvendors: {house: {base_url: 'https://strict.example/v1'}}"))),
        Cheat("timeout raised", both(drop_failures, suite(("timeout_s: 20", "timeout_s: 50"))), "condition", "! system timeout_s 20 → 50"),
    ),
    "uses stored answers instead of the system": (
        Cheat("stored answers", both(lambda repository: repository.cases({i: {"output": f"The sum is {IDS.index(i) + 1}."} for i in IDS}), suite(('{python: "bot:answer", timeout_s: 20}', "{replay: golden}"))), "refused", "stored answers have no fresh times"),
        Cheat("stored answers, and no gate on time", both(lambda repository: repository.cases({i: {"output": f"The sum is {IDS.index(i) + 1}."} for i in IDS}), suite(('{python: "bot:answer", timeout_s: 20}', "{replay: golden}"), ("  - latency_p50_s: {max: 30}\n", ""))), "no decision", "! system replay not set → golden"),
    ),
    "removes, renames, narrows, negates or softens a scorer, or edits a file that it reads": (
        Cheat("scorer removed", unscored(("  - keywords: {min_recall: 0.9}\n", "")), "condition", "! scorer keywords .* → removed"),
        Cheat("scorer renamed", unscored(("keywords: {min_recall: 0.9}", "keywords: {name: words, min_recall: 0.0}")), "condition", "! scorer keywords .* → removed"),
        Cheat("when added", unscored(("min_recall: 0.9}", "min_recall: 0.9, when: {severity: low}}"), ), "condition", "! scorer keywords when.severity not set → low"),
        Cheat("when added, with no_regression", suite(("min_recall: 0.9}", "min_recall: 0.9, when: {severity: high}}")), "refused", "applies to 0 of 60 cases of the golden set"),
        Cheat("when narrowed, with no_regression", suite(("min_recall: 0.9}", "min_recall: 0.9, when: {group: [right]}}")), "refused", "keywords.*`when`"),
        Cheat("when removed", unscored((", when: {has: nothing}", "")), "condition", "! scorer polite when.has nothing → not set", base=both(drop_failures, suite((r"\.$'", r"\.$', when: {has: nothing}")))),
        Cheat("pass mark raised under a max", unscored(("min: 0.5", "min: 1.0")), "condition", "! scorer parrot min 0.5 → 1.0", base=both(drop_failures, suite(("cohorts: [group]", "  - token_f1: {name: parrot, min: 0.5, advisory: true}\ncohorts: [group]"), ("gate:\n", "gate:\n  - parrot.passed: {max: 0.9}\n")))),
        Cheat("made advisory", unscored(("min_recall: 0.9}", "min_recall: 0.9, advisory: true}")), "condition", "! scorer keywords advisory not set → true"),
        Cheat("pass mark lowered", unscored(("min_recall: 0.9", "min_recall: 0.0")), "condition", "! scorer keywords min_recall 0.9 → 0"),
        Cheat("pass mark lowered, with no_regression", suite(("min_recall: 0.9", "min_recall: 0.0")), "refused", "keywords"),
        Cheat("negated", unscored(("- keywords: {min_recall: 0.9}", "- not_regex: {name: keywords, pattern: never}")), "condition", "! scorer keywords kind keywords → not_regex"),
        Cheat("pattern edited", both(drop_failures, suite((r"'^The sum is \d+\.$'", "'.'"), (NO_REGRESSION, ""))), "condition", r"! scorer polite pattern "),
        Cheat("schema file of another kind edited", both(drop_failures, suite((NO_REGRESSION, "")), lambda repository: repository.write("my shape", "{}\n")), "condition", "! scorer shape file my shape ", base=both(lambda r: r.write("my shape", r.read("shape.json")), suite(("schema: shape.json", "schema: my shape")))),
        Cheat("schema file behind a link edited", both(drop_failures, suite((NO_REGRESSION, "")), lambda repository: repository.write("real.json", "{}\n")), "condition", "! scorer shape file shape.json ", base=linked("shape.json", "real.json")),
        Cheat("schema file edited", both(drop_failures, suite((NO_REGRESSION, "")), lambda repository: repository.write("shape.json", "{}\n")), "condition", "! scorer shape file shape.json "),
        Cheat("file behind an own scorer emptied", both(drop_failures, suite((NO_REGRESSION, "")), lambda repository: repository.write("cheat_words.txt", "")), "condition", "! scorer worded file cheat_words.txt ", base=own_scorer),
        Cheat("file added that an own scorer finds by a pattern", both(drop_failures, suite((NO_REGRESSION, "")), lambda r: r.write("words/more.txt", "sum")), "condition", "! scorer found .*words/more.txt", base=finding_scorer),
        Cheat("file edited that an own scorer finds by a pattern", both(drop_failures, suite((NO_REGRESSION, "")), lambda r: r.write("words/kind.txt", "sum")), "condition", "! scorer found .*words/kind.txt", base=finding_scorer),
        Cheat("file removed that an own scorer finds by a pattern", both(drop_failures, suite((NO_REGRESSION, "")), lambda r: (r.root / "words/strict.txt").unlink()), "condition", "! scorer found .*words/strict.txt", base=finding_scorer),
        Cheat("module edited that an own scorer loads by name", both(drop_failures, suite((NO_REGRESSION, "")), lambda r: r.write("found_rules.py", "ENOUGH = 0\n")), "condition", "! scorer found .*found_rules.py", base=finding_scorer),
        Cheat("field of the case swapped", both(edit(easy=["sum"]), lambda r: r.cases({i: {"easy": ["sum"]} for i in IDS}), unscored(("min_recall: 0.9", "min_recall: 0.9, required_field: easy"))), "condition", r"(?s)! scorer keywords required_field not set → #.*"),
    ),
    "removes or widens a rule of a policy file": (
        Cheat("rule of a policy widened", policy("forbid: [delete]\nat_most: {of: add, n: 2}\n", suite((NO_REGRESSION, ""))), "condition", "! scorer policy at_most add n 1; per conversation → n 2", base=agent_with_policy),
        Cheat("rule of a policy removed", policy("at_most: {of: add, n: 1}\n", suite((NO_REGRESSION, ""))), "condition", "! scorer policy forbid delete forbidden → removed", base=agent_with_policy),
        Cheat("rule of a policy widened, with no_regression", policy("forbid: [delete]\nat_most: {of: add, n: 2}\n", lambda repository: None), "refused", "policy", base=both(agent_with_policy, suite(("metrics: [pass_rate, keywords]", "metrics: [pass_rate, policy]")), red_saved)),
    ),
    "adds, edits or removes labels, or asks judges for less agreement": (
        Cheat("floor of kappa lowered", both(drop_failures, suite(("repeat: 1", "repeat: 1\nkappa_floors: {overall: 0.1}"))), "condition", "! kappa_floors overall 0.6 → 0.1"),
        Cheat("labels edited", labels([{**row, "label": "fail"} for row in LABELS]), "condition", "! labels data/labels.jsonl .*6 edited or removed"),
        Cheat("labels added", labels([*LABELS, {**LABELS[0], "rater": "ben"}]), "condition", "! labels data/labels.jsonl 6 labels → 7 labels"),
        Cheat("labels behind a link edited", labels([{**row, "label": "fail"} for row in LABELS]), "condition", "! labels data/labels.jsonl .*6 edited or removed", base=linked("data/labels.jsonl", "data/people.jsonl")),
        Cheat("labels removed", both(drop_failures, suite(("labels: [data/labels.jsonl]\n", ""))), "condition", "! labels data/labels.jsonl 6 labels → none"),
    ),
    "moves the root of the project, where baselines and modules are": (
        Cheat("a mark below the root", nested_root, "condition", r"(?s)! baseline main .*this change brings it.*! project root \. → evals", base=in_evals),
        Cheat("the mark taken away", lambda r: (r.root / "evals/pyproject.toml").unlink(), "condition", r"! project root evals → \.", base=lambda repository: (in_evals(repository), repository.write("evals/pyproject.toml", ""))),
    ),
    "moves the suite, or runs a copy of it": (
        Cheat("suite renamed", moved("other.yaml"), "condition", r"(?s)! suite suite.yaml → other.yaml.*! gate failures"),
        Cheat("suite turned into a link", suite_behind_a_link, "condition", r"(?s)! suite suite.yaml → loose.yml.*! gate failures"),
        Cheat("suite renamed, file and name", moved("other.yaml", ("name: sums", "name: totals")), "condition", r"(?s)! suite suite.yaml → other.yaml"),
        Cheat("suite renamed, file and name, and cases removed", both(each(lambda i: None), moved("other.yaml", ("name: sums", "name: totals"))), "condition", r"5 cases removed .*passed before and fail now: c03, c11, c22, c37, c58"),
        Cheat("a looser copy of the suite", copied, "condition", r"(?s)! suite loose.yaml .*not on main@.*! gate failures\(critical\) .* → removed"),
    ),
}  # fmt: skip
"""Row of the table in docs/ci.md -> ways to do it."""
ALL = [cheat for cheats in CHEATS.values() for cheat in cheats]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base branch, with a saved baseline, and a branch for the change."""
    root = tmp_path_factory.mktemp("base") / "project"
    root.mkdir()
    Repository(root).build()
    return root


@pytest.fixture
def repository(base: Path, tmp_path: Path) -> Repository:
    """A copy of it to change."""
    shutil.copytree(base, tmp_path / "project", symlinks=True)
    return Repository(tmp_path / "project")


def suite_of(repository: Repository) -> str:
    """The suite file that the pull request has run."""
    names = [name for name in ("loose.yaml", "other.yaml", "evals/suite.yaml") if (repository.root / name).is_file()]
    return (names or ["suite.yaml"])[0]


def test_the_breaking_change_alone_is_blocked(repository: Repository) -> None:
    """What the cheats are applied to is red, and the base is green."""
    assert repository.run("reports/base").outcome == "approved"
    repository.break_bot()
    repository.commit("break")
    ran = repository.run()
    assert (ran.outcome, ran.findings) == ("blocked", [])


@pytest.mark.parametrize("cheat", ALL, ids=[cheat.name for cheat in ALL])
def test_a_cheat_is_blocked_or_named(repository: Repository, cheat: Cheat) -> None:
    """No change of rules or cases turns the red change green without a word."""
    if cheat.base is not None:
        repository.rebase(cheat.base)
    repository.break_bot()
    cheat.change(repository)
    repository.commit("break and hide")
    ran = repository.run(suite=suite_of(repository), **cheat.flags)
    assert cheat.judged(ran), (ran.outcome, ran.findings, ran.decision.get("reasons"), ran.said)
    if ran.outcome == "approved with conditions":
        loose = [line.removeprefix("! ").partition(" (")[0] for line in ran.findings if line.startswith("! ")]
        assert all(any(line.split(" → ")[0].strip() in reason for reason in ran.decision["reasons"]) for line in loose)


WORDS = {"blocked": "blocked", "condition": "condition", "no decision": "no decision", "refused": "exit 2"}
"""Outcome of a cheat -> the word of the table."""


def test_the_table_of_the_documents_says_what_happens() -> None:
    """Each row is shown by a cheat, each outcome that it names by one of them, and no outcome is left out."""
    section = DOCS.read_text(encoding="utf-8").partition("| a change that ")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", section.partition("--- | --- | --- |")[2], re.MULTILINE)
    told = {what: comes_to for what, comes_to in rows if comes_to != "not caught"}
    assert list(told) == list(CHEATS)
    for what, comes_to in told.items():
        shown = {WORDS[cheat.outcome] for cheat in CHEATS[what]}
        assert {word for word in WORDS.values() if word in comes_to} == shown, what
    assert len(ALL) >= 40
    assert len(rows) - len(told) >= 5
