"""List the transforms that make variants of golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from evalkit.golden.variants.letters import Confusables, Lower, Typos, Upper
from evalkit.golden.variants.marks import Punctuation, Spaces
from evalkit.golden.variants.passages import ContextOrder, Distractor
from evalkit.golden.variants.wording import Courtesy, Forward, LanguageTag, Prefix, Terse

OfLetters = Typos | Lower | Upper | Spaces | Punctuation | Confusables | Prefix
"""Transforms of any text."""
OfWording = Courtesy | Terse | Forward | LanguageTag
"""Transforms with templates in some languages."""
OfContexts = ContextOrder | Distractor
Transform = OfLetters | OfWording | OfContexts
_CLASSES: tuple[type[Transform], ...] = get_args(Transform)
TRANSFORMS: Mapping[str, type[Transform]] = {
    "".join(f"_{letter.lower()}" if letter.isupper() and at else letter.lower() for at, letter in enumerate(name)): cls
    for name, cls in ((cls.__name__, cls) for cls in _CLASSES)
}
"""Name in a suite -> its options, in the order of the guide."""
