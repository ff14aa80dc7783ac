"""List the transforms that make variants of golden cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from evalkit.golden.variants.attacks import Encode, ExtractPrompt, InjectContext, InjectInput, InjectTool, RolePlay
from evalkit.golden.variants.letters import Confusables, Lower, Typos, Upper
from evalkit.golden.variants.marks import Punctuation, Spaces
from evalkit.golden.variants.passages import ContextOrder, Distractor
from evalkit.golden.variants.swap import SlotWords, Swap, SwapWords
from evalkit.golden.variants.wording import Courtesy, Forward, LanguageTag, Prefix, Terse
from evalkit.golden.variants.written import File, WrittenVariants

OfLetters = Typos | Lower | Upper | Spaces | Punctuation | Confusables | Prefix
"""Transforms of any text."""
OfWording = Courtesy | Terse | Forward | LanguageTag
"""Transforms with templates in some languages."""
OfContexts = ContextOrder | Distractor
Attack = InjectInput | InjectContext | InjectTool | RolePlay | Encode | ExtractPrompt
"""Attacks, whose variants are of kind `adversarial`."""
Transform = OfLetters | OfWording | OfContexts | Attack | SwapWords | SlotWords | WrittenVariants
Options = OfLetters | OfWording | OfContexts | Attack | Swap | File
"""Transforms as a suite names them; the words of `swap` and the variants of `file` are in one."""
_CLASSES: tuple[type[Options], ...] = get_args(Options)
TRANSFORMS: Mapping[str, type[Options]] = {
    "".join(f"_{letter.lower()}" if letter.isupper() and at else letter.lower() for at, letter in enumerate(name)): cls
    for name, cls in ((cls.__name__, cls) for cls in _CLASSES)
}
"""Name in a suite -> its options, in the order of the guide."""


def kind_of(transform: Transform) -> Literal["change", "attack", "swap"]:
    """Return what the variants of a transform are compared for."""
    return (
        "swap"
        if isinstance(transform, SwapWords | SlotWords)
        else "attack"
        if isinstance(transform, Attack)
        else "change"
    )
