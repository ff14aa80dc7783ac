"""List addresses and key variables of well-known model vendors, so that a suite may name a model alone."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal
from urllib.parse import urlsplit

from evalkit.net.addresses import AZURE_HOSTS, is_local

Dialect = Literal["openai", "anthropic"]


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """Address and key variable of a vendor's models.

    Attributes:
        base_url: Address up to and without `/chat/completions`, or `/messages`.
        api_key_env: Environment variable that holds the key; `None` if no key is needed.
        dialect: Wire format for judges; systems always use the chat format, which each vendor offers.
        models: Patterns of names that no other vendor uses for its models.
        batches: Whether it offers batches in the format of its dialect, at half the price.
    """

    base_url: str
    api_key_env: str | None = None
    dialect: Dialect = "openai"
    models: tuple[str, ...] = ()
    batches: bool = False

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://", "${")):
            raise ValueError("base_url: not an http or https URL; write one such as https://host/v1")


VENDORS: Mapping[str, Vendor] = {
    "openai": Vendor(
        base_url="https://api.openai.com/v1",
        api_key_env="OPENAI_API_KEY",
        batches=True,
        models=("gpt-3.5*", "gpt-4*", "gpt-5*", "chatgpt-*", "o1", "o1-*", "o3", "o3-*", "o4-*"),
    ),
    "anthropic": Vendor(
        base_url="https://api.anthropic.com/v1",
        api_key_env="ANTHROPIC_API_KEY",
        dialect="anthropic",
        batches=True,
        models=("claude-*",),
    ),
    "google": Vendor(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        api_key_env="GEMINI_API_KEY",
        models=("gemini-*",),
    ),
    "mistral": Vendor(
        base_url="https://api.mistral.ai/v1",
        api_key_env="MISTRAL_API_KEY",
        models=("mistral-*-latest", "ministral-*-latest", "magistral-*-latest", "codestral-latest", "pixtral-*-latest"),
    ),
    "groq": Vendor(base_url="https://api.groq.com/openai/v1", api_key_env="GROQ_API_KEY"),
    "deepseek": Vendor(
        base_url="https://api.deepseek.com",
        api_key_env="DEEPSEEK_API_KEY",
        models=("deepseek-chat", "deepseek-reasoner"),
    ),
    "xai": Vendor(base_url="https://api.x.ai/v1", api_key_env="XAI_API_KEY", models=("grok-*",)),
    "together": Vendor(base_url="https://api.together.xyz/v1", api_key_env="TOGETHER_API_KEY"),
    "openrouter": Vendor(base_url="https://openrouter.ai/api/v1", api_key_env="OPENROUTER_API_KEY"),
    "ollama": Vendor(base_url="http://localhost:11434/v1"),
}
"""Name -> vendor, from the vendors' documentation; docs/models.md shows the table."""


def lacks_batches(base_url: str) -> str:
    """Return the host of an endpoint if it is of a known vendor without batches; an unknown host may have them."""
    host = urlsplit(base_url).hostname or ""
    known = [each for each in VENDORS.values() if urlsplit(each.base_url).hostname == host and not is_local(host)]
    return host if host.endswith(AZURE_HOSTS) or (known and not any(each.batches for each in known)) else ""


@dataclass(frozen=True)
class Placed:
    """A model with the vendor that serves it."""

    model: str
    vendor: Vendor


def find_vendor(name: str, vendors: Mapping[str, Vendor] = VENDORS) -> Placed:
    """Find the vendor of a model: `vendor/model`, or a name that only one vendor uses.

    Raises:
        ValueError: In the form `what; fix`: several vendors may serve the name.
    """
    head, slash, model = name.partition("/")
    if slash and model and head in vendors:
        return Placed(model, vendors[head])
    found = [each for each in vendors.values() if any(fnmatchcase(name, pattern) for pattern in each.models)]
    if len(found) == 1 and not slash:
        return Placed(name, found[0])
    if len(found) > 1 and not slash:
        names = [key for key, each in vendors.items() if each in found]
        choices = " or ".join(f"`{key}/{name}`" for key in names)
        raise ValueError(f"{name!r} may be of {' or '.join(names)}; write {choices}")
    near = difflib.get_close_matches(head.lower(), vendors, n=1, cutoff=0.8) if slash and model else []
    example = f"{near[0]}/{model}" if near else f"groq/{name if not slash or (head and model) else 'MODEL'}"
    own = f", or define {head!r} under `vendors:`" if slash and head and model and not near else ""
    raise ValueError(
        f"the vendor of {name!r} is not known; "
        f"write one before the name, such as `{example}` ({_listed(vendors)}){own}, or add `base_url: https://host/v1`"
    )


def _listed(vendors: Mapping[str, Vendor]) -> str:
    return ", ".join(f"{name} ({each.models[0]})" if each.models else name for name, each in vendors.items())


def with_vendor(
    options: Mapping[str, object], key: str, vendors: Mapping[str, Vendor], *, skip: Sequence[str] = ()
) -> dict[str, object]:
    """Add address, key variable and dialect to the options of a model that names no `base_url`.

    Args:
        options: Options in the suite; their values are not replaced.
        key: Name of the option with the model's name.
        vendors: The table.
        skip: Options that are not added.

    Raises:
        ValueError: As `find_vendor`.
    """
    name = options.get(key)
    if not isinstance(name, str) or not name or "base_url" in options:
        return dict(options)
    found = find_vendor(name, vendors)
    known = {
        "base_url": found.vendor.base_url,
        "api_key_env": found.vendor.api_key_env,
        "dialect": found.vendor.dialect,
    }
    added = {option: value for option, value in known.items() if option not in skip}
    return {**added, **options, key: found.model}
