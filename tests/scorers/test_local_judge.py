"""The local judge: its features on plain examples, its figures against people."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import importlib.util
import json
import time
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from evalkit.scorers.base import Scorer, Services
from evalkit.scorers.embedding.embedders import WordLlama
from evalkit.scorers.judges.answer_features import conclusion, features
from evalkit.scorers.judges.local_judge import BLIND_TO, COEFFICIENTS, NOTICE, LocalCorrectness, LocalJudge, provenance
from evalkit.types import Case, Output, Score, Unscored

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
NQ301 = DATA / "judged_nq301_dev.jsonl"
GSM8K = DATA / "exact_gsm8k_dev.jsonl.gz"
needs_nq301 = pytest.mark.skipif(not NQ301.exists(), reason="the judged NQ301 rows are not on this machine")
needs_gsm8k = pytest.mark.skipif(not GSM8K.exists(), reason="the shared GSM8K rows are not on this machine")
HELD_OUT = ROOT / "benchmarks" / "number_answers.txt"
DEADLINE = "Suspicious transactions must be reported to the FIU within 24 hours of detection."
EMBEDDING = WordLlama()
JUDGE = LocalJudge(EMBEDDING)


@cache
def training() -> ModuleType:
    """The training script as a module."""
    spec = importlib.util.spec_from_file_location("train_local_judge", ROOT / "benchmarks" / "train_local_judge.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def rows() -> list[dict[str, Any]]:
    """The judged answers."""
    return [json.loads(line) for line in NQ301.read_text(encoding="utf-8").splitlines()]


def grade(answer: str, *references: str, **options: Any) -> Score | Unscored:
    """Score one answer as a suite would."""
    bound = LocalCorrectness(**options).bind(Services(root=Path(), embedder=EMBEDDING))
    case = Case(id="1", input="What is the capital of France?", reference=references)
    return asyncio.run(bound.score(case, Output(text=answer)))


@pytest.mark.parametrize(
    ("question", "reference", "answer", "right"),
    [
        pytest.param("capital of France?", "Paris", "Paris", True, id="same"),
        pytest.param("capital of France?", "Paris", "The capital of France is Paris.", True, id="in a sentence"),
        pytest.param(
            "capital of France?", "Paris", "The capital of France is Lyon.", False, id="another in a sentence"
        ),
        pytest.param("capital of France?", "Paris", "The capital of France", False, id="repeats the question"),
        pytest.param("capital of France?", "Paris", "It is not Paris.", False, id="denied"),
        pytest.param("capital of France?", "Paris", "Paris, not Lyon", True, id="denies another"),
        pytest.param("capital of France?", "Paris", "I don't know.", False, id="refused"),
        pytest.param("when?", "March 10, 2016", "10 March 2016", True, id="date in another order"),
        pytest.param("when?", "1 August 1965", "It was in 1965.", True, id="year of a date"),
        pytest.param("when?", "1965", "In 1966, I think", False, id="another year"),
        pytest.param("how many?", "5", "five of them", True, id="number word"),
        pytest.param("how many?", "2,579", "2579 steps", True, id="thousands separator"),
        pytest.param("how many?", "2,579", "1,776 steps", False, id="another number"),
        pytest.param("who?", "Abid Ali Neemuchwala", "Abidali Neemuchwala", True, id="other spacing"),
        pytest.param("who?", "J. R. R. Tolkien", "C. S. Lewis", False, id="another name"),
        pytest.param("who?", "World Health Organization", "the WHO", True, id="abbreviation"),
        pytest.param("who?", "NATO", "the North Atlantic Treaty Organization", True, id="spelled out"),
        pytest.param("where?", "in the s-block", "s - block", True, id="hyphen"),
        pytest.param("is consent needed?", "Yes", "Yes, it is needed.", True, id="yes"),
        pytest.param("is consent needed?", "Yes", "Consent is not needed.", False, id="no for yes"),
        pytest.param("is consent needed?", "No", "No.", True, id="no"),
        pytest.param("deadline?", DEADLINE, "Firms report suspicious transactions to the FIU within 24 hours.", True),
        pytest.param("deadline?", DEADLINE, DEADLINE.replace("24", "72"), False, id="sentence, another number"),
        pytest.param("deadline?", DEADLINE, DEADLINE.replace("must be", "must not be"), False, id="sentence, negated"),
        pytest.param("deadline?", DEADLINE, "Customers must be identified before business starts.", False, id="off"),
        pytest.param("who?", "The text does not say.", "I don't know.", True, id="both give no answer"),
        pytest.param("who?", "J. R. R. Tolkien", "Tolkien", True, id="family name"),
        pytest.param("who?", "Richard Dean Anderson", "Richard Anderson", True, id="without the middle name"),
        pytest.param("who?", "George Washington", "Booker Washington", False, id="another first name"),
        pytest.param("who?", "Marie Curie", "It was Pierre Curie.", False, id="another first name in a sentence"),
        pytest.param("who?", "Marie Curie", "Madame Curie", True, id="title for a first name"),
        pytest.param("who?", "William Smith", "Will Smith", True, id="shortened first name"),
        pytest.param("who?", "David Gahan", "Dave Gahan", True, id="first name in another form"),
        pytest.param("who?", "Muhammad Ali", "Mohammed Ali", True, id="transliterated"),
        pytest.param("which team?", "New York Giants", "New York Jets", False, id="another team of the place"),
        pytest.param("which team?", "Manchester United", "Man United", True, id="shortened place"),
        pytest.param("where?", "Paris, France", "Paris", True, id="without the country"),
        pytest.param("where?", "Paris, France", "Lyon, France", False, id="another place in the country"),
        pytest.param("where?", "South Korea", "North Korea", False, id="the other half of a country"),
        pytest.param("which country?", "Iran", "Iraq", False, id="spelled nearly so, another country"),
        pytest.param("when?", "1 May 1990", "May 1990", True, id="month of a date"),
        pytest.param("when?", "1 May 1990", "2 May 1990", False, id="another day"),
        pytest.param("when?", "1 May 1990", "June 1, 1990", False, id="another month"),
        pytest.param("when?", "May 1990", "on 12 May 1990", True, id="more exact than the reference"),
        pytest.param("when?", "15th century", "in 1432", True, id="year in the century"),
        pytest.param("when?", "1432", "in the sixteenth century", False, id="year in another century"),
        pytest.param("when?", "1990", "in the 1980s", False, id="another decade"),
        pytest.param("how many?", "25", "twenty-five", True, id="number of two words"),
        pytest.param("how many?", "1.2 million", "1,200,000", True, id="million written out"),
        pytest.param("how many?", "about 2.45 million", "2.4 million", True, id="rounded"),
        pytest.param("how many?", "about 2.45 million", "4.2 million", False, id="another decimal"),
        pytest.param("from which sum?", "EUR 10 000", "From EUR 10,000 on.", True, id="thousands parted by a space"),
        pytest.param("from which sum?", "EUR 10 000", "From EUR 15 000 on.", False, id="another number of thousands"),
        pytest.param("how many?", "10,000", "About 10k", True, id="a magnitude at its number"),
        pytest.param("boils at?", "100 \u00b0C", "Celsius", False, id="the unit without its number"),
        pytest.param("how far?", "5 km", "five kilometres", True, id="number and unit in words"),
        pytest.param("when?", "3:30 pm", "at 3.30 p.m.", True, id="time of day"),
        pytest.param("when?", "3:30 pm", "3:30", True, id="time of day, its half left out"),
        pytest.param("when?", "9 am to 5 pm", "9 to 5", True, id="two times of day"),
        pytest.param("when?", "09:00", "9:00", True, id="time of day without its nought"),
        pytest.param("which?", "None", "There are no side effects. None.", True, id="none is not a number"),
        pytest.param("which?", "COVID-19", "covid", True, id="number of a name"),
        pytest.param("who?", "Elizabeth II", "Queen Elizabeth", True, id="number of a queen"),
        pytest.param("which number?", "555 123 456", "555-123-456", True, id="telephone"),
        pytest.param("when?", "2003-05-01", "on 1 May 2003", True, id="date of ISO 8601"),
        pytest.param("speed?", "186,000 miles per second", "300,000 km per second", False, id="a second is no 2"),
        pytest.param("how many?", "3 million", "3bn", False, id="another magnitude"),
        pytest.param("which war?", "World War II", "the Second World War", True, id="roman number"),
        pytest.param("what animal?", "dog", "dogs", True, id="plural"),
        pytest.param("how many?", "20", "20 hens x 40 cups = 800 cups.\nA: 800", False, id="a step, not the answer"),
        pytest.param("how many?", "800", "20 hens x 40 cups = 800 cups.\n#### 800", True, id="final number"),
        pytest.param("how many?", "40", "20 and 40 make 60.\nThe answer is: 60", False, id="another final number"),
        pytest.param("how many?", "40", "20 and 40 make 60.\nAns: 60", False, id="another final number, cut short"),
        pytest.param("how many?", "3 years 2 months", "3 years 2 months\nA: 3", True, id="number of the whole"),
        pytest.param("where?", "Paris", "Paris. My answer is based on document 3.", True, id="answer as a word"),
        pytest.param("where?", "Paris", "Paris is the answer: it is the capital.", True, id="answer in a sentence"),
        pytest.param("which?", "A", "A: Paris", True, id="letter of a choice"),
        pytest.param("where?", "Paris", "It is Paris.\n#### Sources: the 2020 handbook", True, id="a heading"),
        pytest.param("how many?", "60", "20 + 40\n$$\\boxed{60}$$", True, id="boxed"),
        pytest.param("where?", "Lyon", "Paris or Lyon?\n**Final answer:** Paris", False, id="another final answer"),
        pytest.param("where?", "Paris", "Lyon is big.\nAnswer: not Paris", False, id="final answer denied"),
        pytest.param(
            "when?", DEADLINE, f"{DEADLINE}\nAnswer: 24 hours", True, id="reference longer than the conclusion"
        ),
        pytest.param("ville?", "東京", "東京です", True, id="script without spaces"),
    ],
)
def test_plain_answers(question: str, reference: str, answer: str, right: bool) -> None:
    """Right and wrong answers that need no knowledge of the world."""
    assert (JUDGE.predict(question, [reference], answer) >= 0.5) is right


def judged_numbers(path: Path) -> list[tuple[str, str, bool, bool]]:
    """Reference, answer, whether it is right, and whether the judge passes it."""
    cases = training().number_answers(path)
    return [(ref, text, right, JUDGE.predict(asked, [ref], text) >= 0.5) for asked, ref, text, right in cases]


def test_numbers_are_judged_by_the_rules() -> None:
    """Precision, separators, units, signs, ranges, order, dates, hedges, words and identifiers, both ways."""
    judged = judged_numbers(Path(__file__).with_name("number_answers.txt"))
    assert [case for case in judged if case[2] != case[3]] == []
    assert len(judged) > 400
    assert 0.4 < sum(right for _, _, right, _ in judged) / len(judged) < 0.6


def test_stated_errors_on_numbers_are_those_of_the_file() -> None:
    """Of answers that the rules were not written on, as many are judged wrongly as the figures say."""
    stated, judged = provenance()["numbers"], judged_numbers(HELD_OUT)
    assert stated["sha256"] == hashlib.sha256(HELD_OUT.read_bytes()).hexdigest()
    assert stated["answers"] == len(judged)
    assert stated["wrong_ones_passed"] == sum(passed and not right for _, _, right, passed in judged)
    assert stated["right_ones_failed"] == sum(right and not passed for _, _, right, passed in judged)
    assert stated["error_rate"]["high"] < 0.1


@pytest.mark.parametrize(
    ("reference", "answer"),
    [("Brooklyn Nine-Nine", "Brooklyn 99"), ("World War II", "WWII"), ("more than 80", "83"), ("3 times", "triple")],
)
def test_blind_to_numbers_in_disguise(reference: str, answer: str) -> None:
    """What it fails wrongly, so that nobody thinks it does not."""
    assert JUDGE.predict("?", [reference], answer) < 0.5


def test_blind_to_one_word_edits() -> None:
    """The stated blindness is real: a word that turns the sense around is not seen, and the notice says so."""
    reference = "Only authorised staff may access personal data."
    assert JUDGE.predict("Who?", [reference], "Only unauthorised staff may access personal data.") > 0.5
    assert "one-word edits" in BLIND_TO
    assert BLIND_TO in NOTICE


def test_blind_to_abstractive_rewording() -> None:
    """A right answer in other words is not seen either."""
    answer = "Tell the authority about it by the next day at the latest."
    assert JUDGE.predict("What is the deadline?", [DEADLINE], answer) < 0.5


@pytest.mark.parametrize(
    ("reference", "answer"),
    [("Pablo Picasso", "Paloma Picasso"), ("dark red", "dark blue"), ("table tennis", "tennis")],
)
def test_blind_to_likeness(reference: str, answer: str) -> None:
    """What it passes wrongly, so that nobody thinks it does not: names alike, nouns that share a word, a part."""
    assert JUDGE.predict("?", [reference], answer) > 0.5


@pytest.mark.parametrize(
    "answer",
    [
        "Answer: Paris",
        "It cannot be\nthat the answer: Paris",
        "I cannot say.\nI cannot answer: Ann is not in the text.",
        "Answer: Paris\nLyon is the larger one.",
        "Paris\nAnswer:",
        "Paris\nAnswer: _",
        "Paris\n#### Sources",
        "",
    ],
)
def test_no_conclusion(answer: str) -> None:
    """A single line, a mark within a line or before the last one, and an empty one conclude nothing."""
    assert conclusion(answer) is None


@pytest.mark.parametrize("mark", ["#", ":", "*", " ", "a:", "Answer", "Answer:", "answer is ", "\\boxed{", "####1"])
def test_a_million_marks_take_no_time(mark: str) -> None:
    """Seconds would be hours, were it quadratic: 16,000 took 7 once."""
    started = time.process_time()
    conclusion("x\n" + mark * (1_000_000 // len(mark)))
    conclusion("x\nAnswer" + mark * (1_000_000 // len(mark)))
    assert time.process_time() - started < 120  # a second where it is linear


def test_dates_of_all_references_count() -> None:
    """A date that another reference excludes is wrong, though one reference is vague enough to allow it."""
    vague, exact = "January 2017", "January 12, 2017"
    assert JUDGE.predict("when?", [vague], "January 16, 2017") > 0.5
    assert JUDGE.predict("when?", [vague, exact], "January 16, 2017") < 0.5


@pytest.mark.parametrize(
    ("references", "answer", "right"),
    [
        pytest.param(["Asha Bhosle"], "I'm not sure, but I think it is Asha Bhosle.", True, id="hedged"),
        pytest.param(["gold"], "They found gold in a mine whose owner is unknown.", True, id="unknown something else"),
        pytest.param(["Asha Bhosle"], "I'm not sure; India has many singers.", False, id="gives no answer"),
        pytest.param(["The Lord of the Rings"], "The Lord of the Rings, not The Hobbit", True, id="denies another"),
        pytest.param(["The Lord of the Rings"], "It was not The Lord of the Rings.", False, id="denies it"),
        pytest.param(["115", "Roger Maris"], "Roger Maris, with 61 home runs", True, id="number beside a name"),
        pytest.param(["a small one that harms nobody"], "one that harms nobody, within 72 hours", True, id="a pronoun"),
        pytest.param(["115", "Roger Maris"], "61 home runs", False, id="another number alone"),
    ],
)
def test_whole_reference_in_a_longer_answer(references: list[str], answer: str, *, right: bool) -> None:
    """Where the whole reference stands in the answer, a hedge, another denial or another number does not undo it."""
    assert (JUDGE.predict("who or what?", references, answer) >= 0.5) is right


def test_scattered_words_are_no_agreement() -> None:
    """Words of the reference count where they stand together, not anywhere in a long answer."""
    together = "He was a judge. For many years he sat in a town by the sea, and people there called him district judge."
    apart = "He was a judge. For many years he sat in a town by the sea, and people came from the whole district."
    wanted = ["local district judge"]
    assert JUDGE.predict("who?", wanted, apart) < JUDGE.predict("who?", wanted, together)


def test_best_reference_counts() -> None:
    """Another acceptable answer never lowers the probability."""
    alone = JUDGE.predict("?", ["Paris"], "It was Paris.")
    assert JUDGE.predict("?", ["Berlin", "Paris", ""], "It was Paris.") == alone


def test_probability_rises_with_both_features() -> None:
    """Weights are positive: more agreement never means less correct."""
    coefficients = provenance()["coefficients"]
    assert coefficients["meaning"] > 0
    assert coefficients["wording"] > 0


def test_verbosity_does_not_change_the_verdict() -> None:
    """The same answer alone and inside a paragraph gets nearly the same probability."""
    padding = "There are many sources about this topic. Historians describe it in detail."
    alone, padded = (
        JUDGE.predict("who?", ["Asha Bhosle"], text) for text in ("Asha Bhosle", f"{padding} Asha Bhosle.")
    )
    assert padded == pytest.approx(alone, abs=0.05)


@pytest.mark.parametrize(
    "answer",
    [
        *("!!!", "🎉", "\ud83d", "\u200b", "0" * 5000, "a " * 40_000, "1e999", "-1e-999 km", f"about {'9' * 5000}"),
        *(
            f"1/{'9' * 5000}",
            f"{'9' * 5000}:30",
            "1 2 " * 20_000,
            "\u0663 \u136b \u2460",
            "(" * 9,
            "% $ -",
            f"1{'0' * 400} km",
        ),
    ],
    ids=str.__len__,
)
@pytest.mark.parametrize("reference", ["Paris in 1999", "about 1e400 km or 3/4 of 2.5e-300"], ids=["name", "numbers"])
@pytest.mark.slow
def test_odd_answers_get_a_probability(answer: str, reference: str) -> None:
    """No text breaks the judge, on either side."""
    assert 0.0 <= JUDGE.predict("?", [reference], answer) <= 0.8
    if len(answer) < 10_000:
        assert 0.0 <= JUDGE.predict("?", [answer], reference) <= 0.8


def test_excluded_features_say_why() -> None:
    """What excludes agreement is named, and nothing else counts then."""
    [found] = features("?", ["in 1999"], "in 2001", EMBEDDING)
    assert (found.meaning, found.wording, found.excluded) == (0.0, 0.0, "another number or date")


def test_scorer_holds_the_contract() -> None:
    """It is a scorer whose metric names the judge and whose key holds judge, coefficients and embedding."""
    bound = LocalCorrectness().bind(Services(root=Path()))
    assert isinstance(bound, Scorer)
    assert bound.metrics[0].judge == "local:correctness@6"
    assert set(bound.key_parts) == {"judge", "coefficients", "embedding"}
    assert bound.needs == {"reference"}


def test_score_names_the_features_and_the_notice() -> None:
    """The reason gives both features; the notice goes along."""
    score = grade("Paris", "Paris")
    assert isinstance(score, Score)
    assert score.passed is True
    assert score.reason.startswith("P(correct) 0.9")
    assert "meaning 1.00, wording 1.00" in score.reason
    assert score.details["notice"] == NOTICE


def test_empty_answer_is_wrong_and_empty_reference_unscored() -> None:
    """An empty answer is wrong; without a reference there is no verdict."""
    score = grade(" ", "Paris")
    assert isinstance(score, Score)
    assert (score.value, score.passed) == (0.0, False)
    assert "the answer is empty" in score.reason
    blank = grade("Paris", "")
    assert isinstance(blank, Unscored)
    assert blank.kind == "empty_reference"
    with pytest.raises(ValueError, match="references"):
        JUDGE.predict("?", [" "], "Paris")


def test_long_answer_is_judged_off_the_loop() -> None:
    """A very long answer gets the same probability in a thread."""
    long = "Paris. " + "Nothing else matters here. " * 3000
    score = grade(long, "Paris")
    assert isinstance(score, Score)
    expected = JUDGE.predict("What is the capital of France?", ["Paris"], long)
    assert score.value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("mark", [0.0, 1.2, float("nan")])
def test_wrong_pass_mark_is_refused(mark: float) -> None:
    """A pass mark that is not a probability is an error of the suite, by its key there."""
    with pytest.raises(ValueError, match=r"^pass: "):
        LocalCorrectness(pass_at=mark)


def test_notice_states_the_measured_figure() -> None:
    """The notice is built from the file, and says that nobody verified it on the user's data."""
    kappa = provenance()["figures"]["all"]["kappa"]
    assert f"kappa {kappa['value']:.2f} [{kappa['low']:.2f}, {kappa['high']:.2f}]" in NOTICE
    assert f"n={provenance()['data']['rows']}" in NOTICE
    assert "unverified on your data" in NOTICE


@needs_nq301
def test_provenance_matches_the_data() -> None:
    """File, hash, rows and groups in the coefficients file are those of the data."""
    data = provenance()["data"]
    assert data["sha256"] == hashlib.sha256(NQ301.read_bytes()).hexdigest()
    assert data["rows"] == len(rows())
    assert data["groups"] == len({row["group"] for row in rows()})


@needs_nq301
def test_agrees_with_people_as_stated() -> None:
    """The shipped coefficients reach the stated kappa on the rows they come from, short answers at least .55."""
    from sklearn.metrics import cohen_kappa_score

    people = np.array([row["human"]["correct"] for row in rows()])
    short = np.array([row["cohorts"]["answer_form"] == "short" for row in rows()])
    verdicts = np.array([JUDGE.predict(row["input"], row["reference"], row["output"]) >= 0.5 for row in rows()])
    figures = provenance()["figures"]
    assert cohen_kappa_score(people, verdicts) >= figures["all"]["kappa"]["value"] - 0.005
    assert cohen_kappa_score(people[short], verdicts[short]) >= 0.55


def test_stated_figures_beat_token_f1() -> None:
    """Out of fold it beats token F1 even at the threshold that is best in hindsight, on short answers beyond chance."""
    figures, unseen = provenance()["figures"], provenance()["left_out_systems"]
    assert figures["short"]["kappa"]["value"] >= 0.55
    assert figures["short"]["gain_over_token_f1"]["low"] > 0
    assert unseen["gain_over_token_f1"]["value"] > 0
    assert all(one["kappa"] > 0.4 for one in unseen["systems"].values())
    assert provenance()["elsewhere"]["GSM8K"]["gain_over_token_f1"]["low"] > 0.05


@needs_nq301
def test_kappa_of_the_training_script_is_cohens() -> None:
    """The script's own kappa equals scikit-learn's."""
    from sklearn.metrics import cohen_kappa_score

    random = np.random.default_rng(5)
    labels, verdicts = random.random(200) < 0.6, random.random((3, 200)) < 0.4
    expected = [cohen_kappa_score(labels, one) for one in verdicts]
    assert training().kappa(labels, verdicts) == pytest.approx(expected)


@needs_nq301
@needs_gsm8k
@pytest.mark.long
def test_training_is_reproducible() -> None:
    """Training again on the same file gives the shipped coefficients and every stated figure."""
    script = training()
    again = script.document(script.read(NQ301), NQ301, provenance()["data"]["name"], {"GSM8K": GSM8K}, HELD_OUT)
    shipped = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))
    assert again["coefficients"] == pytest.approx(shipped["coefficients"], abs=1e-4)
    assert again["data"] == shipped["data"]
    for form, figures in shipped["figures"].items():
        for name in ("kappa", "token_f1_best", "gain_over_token_f1", "gain_over_token_f1_held_out"):
            assert again["figures"][form][name] == pytest.approx(figures[name], abs=0.01), (form, name)
    for name in ("kappa", "token_f1_best", "gain_over_token_f1", "gain_over_token_f1_held_out"):
        assert again["left_out_systems"][name] == pytest.approx(shipped["left_out_systems"][name], abs=0.01), name
    assert again["numbers"] == shipped["numbers"]
    for name, value in shipped["elsewhere"]["GSM8K"].items():
        expected = pytest.approx(value, abs=0.01) if isinstance(value, dict) else value
        assert again["elsewhere"]["GSM8K"][name] == expected, name


@needs_gsm8k
@pytest.mark.slow
def test_transfers_to_final_numbers() -> None:
    """On worked answers of school mathematics it agrees with exact match nearly everywhere."""
    from sklearn.metrics import cohen_kappa_score

    with gzip.open(GSM8K, "rt", encoding="utf-8") as file:
        answers = [json.loads(line) for line in file]
    verdicts = [JUDGE.predict(row["input"], [str(row["reference"])], row["output"]) >= 0.5 for row in answers]
    assert cohen_kappa_score([row["auto"]["correct"] for row in answers], verdicts) >= 0.98
