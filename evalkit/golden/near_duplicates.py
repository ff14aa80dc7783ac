"""Find near-duplicate cases: pairs of texts that share most of their 5-grams of characters.

No measure of shared text tells a paraphrase from a changed number or an added "not". Each pair is therefore shown to a
person, and none is removed. MinHash with bands finds candidates (Broder 1997, doi:10.1109/SEQUEN.1997.666900; Leskovec,
Rajaraman and Ullman 2014, chapter 3); the similarity of each candidate pair is then computed exactly.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from evalkit.types import Case

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

LEAST = 0.5
"""Smallest Jaccard similarity of a pair; one in some 10,000 pairs of unrelated questions reaches it."""
GRAM = 5
BANDS, ROWS = 25, 5
N_HASHES = 128
"""Length of a signature, of which the bands use 125."""
_BLOCK = 4_096
"""Number of 5-grams that are hashed at once, so that a long text needs no more memory."""
_CROWD = 30
"""Size of a group of equal bands above which each case is compared with its next neighbours only."""
_NEIGHBOURS = 2
_MAX_CANDIDATES = 2_000_000
"""Number of candidates at which the search ends, so that time and memory have a limit."""
MOST_CHARS = 50_000
"""Characters of a text whose 5-grams are compared, so that a row with a whole book does not take minutes."""
MAX_PAIRS = 100_000
"""Number of pairs at which the search ends: no person looks at more."""
Difference = Literal["number", "negation", "name", "contexts", "ending"]
"""What tells two similar cases apart: their meanings are likely to differ too."""
_TOKEN = re.compile(r"\w+(?:['’]\w+)*")
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_SENTENCE_END = re.compile(r"[.!?:;¿¡\n]\W*$")
_NEGATIONS = frozenset(
    # English, German, French, Spanish, Italian, Portuguese, Dutch, Polish
    "no not never none nobody nothing neither nor without cannot except unless un non "
    "nicht kein keine keinen keinem keiner keines nie niemals ohne weder nichts außer "
    "ne pas jamais aucun aucune sans ni rien sauf no nunca sin ningún ninguno ninguna tampoco nada excepto "
    "mai senza nessuno nessuna niente não nunca sem nenhum nenhuma niet geen nooit zonder nie bez żaden żadna".split()
)


@dataclass(frozen=True, slots=True)
class NearText:
    """The parts of a case that are compared."""

    id: str
    place: str
    """`file:line` of the case."""
    text: str
    """Everything that is asked, up to 50,000 characters: of a conversation, every message."""
    contexts: tuple[str, ...] = ()
    ending: str = ""
    """What follows the first 50,000 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearPair:
    """Two cases with similar texts, in the order of the file."""

    first: NearText
    second: NearText
    jaccard: float
    """Shared 5-grams of characters, of all in either text: from 0.5 to 1."""
    differences: tuple[Difference, ...] = ()

    @property
    def kind(self) -> Literal["same", "variant"]:
        """`variant` if something tells the two apart that is likely to change the meaning, else `same`."""
        return "variant" if self.differences else "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class NearPairs:
    """The near-duplicates of a set."""

    pairs: tuple[NearPair, ...]
    """In the order of the file."""
    n_texts: int
    complete: bool = True
    """False if the set is made of templates, so that pairs may be missing: of large groups of similar cases only
    neighbours were compared, or the search ended at 100,000 pairs."""


def near_text(case: Case) -> NearText:
    """Return the parts of a case that are compared."""
    texts = [case.input] if isinstance(case.input, str) else [message.content for message in case.input]
    texts += _strings([case.fields.get(name) for name in ("turns", "user")])
    text = "\n".join(texts)
    return NearText(case.id, case.place, text[:MOST_CHARS], case.contexts, text[MOST_CHARS:])


def near_duplicates(texts: Sequence[NearText]) -> NearPairs:
    """Find the pairs of texts whose 5-grams of characters have a Jaccard similarity of at least 0.5.

    A pair of similarity 0.5 is found with probability 0.55, one of 0.6 with 0.87, one of 0.7 with 0.99: the chance
    that one of 25 bands of 5 hashes is equal.

    Args:
        texts: at most some 100,000 in a minute; letter case, punctuation and white space do not count.
    """
    import numpy as np

    plain = [plain_text(each.text) for each in texts]
    firsts: dict[tuple[str, str], int] = {}
    places = [firsts.setdefault((text, texts[at].ending), at) for at, text in enumerate(plain)]
    pairs = {(first, at): 1.0 for at, first in enumerate(places) if first != at}
    distinct = np.array(sorted(firsts.values()), np.int64)
    signatures = np.empty((len(distinct), N_HASHES), np.uint32)
    for row, at in enumerate(distinct):
        signatures[row] = signature(plain[at])
    candidates, complete = _candidates(signatures)
    grams: tuple[int, frozenset[str]] = (-1, frozenset())
    for code in candidates:
        if len(pairs) >= MAX_PAIRS:
            complete = False
            break
        first, second = int(distinct[code // len(distinct)]), int(distinct[code % len(distinct)])
        if grams[0] != first:
            grams = first, grams_of(plain[first])
        similarity = jaccard(grams[1], grams_of(plain[second]))
        if similarity >= LEAST:
            pairs[first, second] = similarity
    found = (pair_of(texts[first], texts[second], pairs[first, second]) for first, second in sorted(pairs))
    return NearPairs(pairs=tuple(found), n_texts=len(texts), complete=complete)


def nearest(text: NearText, others: Iterable[NearText]) -> Iterator[NearPair]:
    """Yield each of the others whose similarity to a text is at least 0.5, compared exactly."""
    grams = grams_of(plain_text(text.text))
    for other in others:
        similarity = jaccard(grams, grams_of(plain_text(other.text)))
        if similarity >= LEAST:
            yield pair_of(other, text, similarity)


def pair_of(first: NearText, second: NearText, similarity: float) -> NearPair:
    """Return a pair with what tells its texts apart."""
    return NearPair(first=first, second=second, jaccard=similarity, differences=differences(first, second))


def plain_text(text: str) -> str:
    """Return the words of a text, case folded and joined by spaces; a text of signs alone stays as it is."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(re.findall(r"\w+", folded)) or " ".join(folded.split())


def grams_of(plain: str) -> frozenset[str]:
    """Return the 5-grams of characters; of a shorter text, the text itself."""
    return frozenset(plain[at : at + GRAM] for at in range(max(1, len(plain) - GRAM + 1)))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Return the shared part of two sets that are not empty, from 0 to 1."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def differences(first: NearText, second: NearText) -> tuple[Difference, ...]:
    """Return what tells two similar texts apart besides their wording.

    - `number`: other numbers, or the same in another order
    - `negation`: a negating word (of eight languages) or `n't` in one of the two
    - `name`: a capitalised word in one of the two. The first word of a sentence counts only if it was replaced, and no
      word of a text without lower-case letters
    - `contexts`: other passages
    - `ending`: another text after the first 50,000 characters
    """
    found: list[Difference] = []
    ours, theirs = _tokens(first.text), _tokens(second.text)
    if numbers_in(first.text) != numbers_in(second.text):
        found.append("number")
    only = [_without(ours, theirs), _without(theirs, ours)]
    if any(_negates(token) for side in only for token in side):
        found.append("negation")
    replaced = all(only)
    if any(is_name == "inside" or (is_name == "start" and replaced) for side in only for is_name in side.values()):
        found.append("name")
    if first.contexts != second.contexts:
        found.append("contexts")
    if first.ending != second.ending:
        found.append("ending")
    return tuple(found)


_Capital = Literal["inside", "start", ""]


def _tokens(text: str) -> tuple[Counter[str], dict[str, _Capital]]:
    """Return the folded words with their counts, and where each is capitalised."""
    text = unicodedata.normalize("NFKC", text)
    cased = any(char.islower() for char in text)
    begin = len(text) - len(text.lstrip())
    counts: Counter[str] = Counter()
    capitals: dict[str, _Capital] = {}
    for match in _TOKEN.finditer(text):
        word = match[0]
        folded = word.casefold().replace("’", "'")
        counts[folded] += 1
        if cased and word[0].isupper():
            starts = match.start() <= begin or _SENTENCE_END.search(text, max(0, match.start() - 8), match.start())
            at: _Capital = "start" if starts else "inside"
            if capitals.get(folded) != "inside":
                capitals[folded] = at
    return counts, capitals


def _without(
    ours: tuple[Counter[str], Mapping[str, _Capital]], theirs: tuple[Counter[str], Mapping[str, _Capital]]
) -> dict[str, _Capital]:
    """Return the words that occur more often in the first text, with where each is capitalised there."""
    return {word: ours[1].get(word, "") for word in ours[0] - theirs[0]}


def _negates(token: str) -> bool:
    return token in _NEGATIONS or token.endswith("n't")


def numbers_in(text: str) -> list[str]:
    """Return the numbers of a text in their order, with ASCII digits and without separators of thousands."""
    text = re.sub(r"(?<=\d)[ ,'\u00a0\u202f](?=\d{3}(?!\d))", "", unicodedata.normalize("NFKC", text))
    digits = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)
    return _NUMBER.findall(digits)


def _strings(value: Any) -> list[str]:
    """Return every text in a value of JSON, in order."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [text for each in inner for text in _strings(each)]


@functools.cache
def _hash_parameters() -> tuple[Words, Words]:
    """Return the multipliers (odd) and summands of the hash functions."""
    import numpy as np

    size = 8 * N_HASHES
    raw = b"".join(
        hashlib.blake2b(b"evalkit near-duplicates", digest_size=64, salt=block.to_bytes(16, "little")).digest()
        for block in range(2 * size // 64)
    )
    numbers = np.frombuffer(raw, "<u8")
    return numbers[:N_HASHES, None] | np.uint64(1), numbers[N_HASHES:, None]


_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)
"""Odd multipliers, one for each character of a 5-gram, and for each hash of a band."""


def _gram_hashes(plain: str) -> Words:
    """Return a 64-bit hash of each 5-gram."""
    import numpy as np

    codes = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    if len(codes) < GRAM:
        codes = np.concatenate([codes, np.zeros(GRAM - len(codes), np.uint64)])
    n_grams = len(codes) - GRAM + 1
    mixed = np.zeros(n_grams, np.uint64)
    for at, factor in enumerate(_MIX):
        mixed = _mixed(mixed, codes[at : at + n_grams], factor)
    return np.unique(mixed)


def _mixed(hashes: Words, values: NDArray[Any], factor: int) -> Words:
    """Return 64-bit hashes with one more value in each."""
    import numpy as np

    mixed: Words = (hashes ^ values) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(29))


def signature(plain: str) -> NDArray[np.uint32]:
    """Return the MinHash signature of a plain text: 128 numbers, each the smallest hash of its 5-grams."""
    import numpy as np

    multipliers, summands = _hash_parameters()
    hashes = _gram_hashes(plain)
    least = np.full(N_HASHES, np.iinfo(np.uint64).max, np.uint64)
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[None, start : start + _BLOCK] * multipliers + summands
        np.minimum(least, block.min(axis=1), out=least)
    return (least >> np.uint64(32)).astype(np.uint32)


def _candidates(signatures: NDArray[np.uint32]) -> tuple[NDArray[np.int64], bool]:
    """Return the pairs of rows with an equal band, as `first * rows + second`, and whether these are all of them."""
    import numpy as np

    n_rows, complete = len(signatures), True
    found = np.empty(0, np.int64)
    for band in range(BANDS):
        keys = np.zeros(n_rows, np.uint64)
        for row, factor in zip(range(band * ROWS, (band + 1) * ROWS), _MIX, strict=True):
            keys = _mixed(keys, signatures[:, row], factor)
        order = np.argsort(keys, kind="stable")
        _, starts, sizes = np.unique(keys[order], return_index=True, return_counts=True)
        pairs = [found]
        for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
            members = order[start : start + size]
            complete = complete and len(members) <= _CROWD
            one, other = _pairs_within(members)
            pairs.append(one * n_rows + other)
        found = np.unique(np.concatenate(pairs))
        if len(found) > _MAX_CANDIDATES:
            return found, False
    return found, complete


def _pairs_within(members: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of a group, or, of a large one, each member with its next neighbours."""
    import numpy as np

    if len(members) <= _CROWD:
        one, other = np.triu_indices(len(members), 1)
        return members[one], members[other]
    steps = range(1, _NEIGHBOURS + 1)
    return (
        np.concatenate([members[:-step] for step in steps]),
        np.concatenate([members[step:] for step in steps]),
    )
