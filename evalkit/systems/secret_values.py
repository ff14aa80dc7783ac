"""Decide which values of an environment are secret: by the name that holds them, or by their form.

The rule:

1. A name with a word such as `token`, `password`, `dsn` or `webhook` holds a secret, unless its last word says that the
value only describes it (`KEY_FILE`, `TOKEN_TTL`, `AUTH_MODE`). The value counts if it has 6 or more characters, unless
it is a path, a URL without anything secret in it, or a common word (`postgres`, `localhost`, `changeme`).
2. Under any name these are secret: the user information of a URL with a password, a parameter named like a secret, a
   token with a vendor's prefix, a private key, and a random word of 20 or more characters (at least 3.3 bits each).
   Digests and ids (`GITHUB_SHA`, `RUN_ID`, UUIDs, paths) are random without being secret, so they are secret only if
   their names say so.

A value that is secret counts as a whole, and so do the parts that appear alone in messages, such as a password or a
line of a key.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit

SHORTEST = 6
"""Minimum length of a secret in characters; redacting shorter values would garble messages."""
RANDOM_CHARS = 20
RANDOM_BITS = 3.3
"""Shannon entropy of a character, in bits: English words repeat their few letters, a key does not."""
_TURNS = 0.25
"""Minimum share of neighbours that differ in kind (digit, lower case, upper case); 0.4 to 0.5 is usual for a key."""
_MOST_DEPTH = 4

VENDOR = re.compile(
    r"\b(?:sk-[\w-]{16,}|[sr]k_(?:live|test)_\w{16,}|whsec_[\w+/=]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}"
    r"|gl(?:pat|dt|rt|cbt)-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}|xapp-[\w-]{10,}|hf_\w{20,}|npm_\w{30,}|pypi-[\w-]{30,}"
    r"|dop_v1_\w{30,}|(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}|AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"
    r"|SG\.[\w-]{16,}\.[\w-]{16,}|(?:AC|SK)[0-9a-f]{32}|shp(?:at|ca|pa|ss)_\w{30,}|lin_api_\w{30,}|gsk_\w{30,}|r8_\w{30,}"
    r"|pplx-\w{30,}|nvapi-[\w-]{30,}|dapi[0-9a-f]{32}|hv[sbr]\.[\w-]{20,}|AGE-SECRET-KEY-1\w{30,}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})"
)
"""Tokens in vendors' formats."""
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
_USER = re.compile(r"://([^\s/?#]*)@")
_LOOSE_USER = re.compile(r"(?<!http)(?<!https)://([^\s/:]+:[^\s]+)@")
"""URL of a database whose password contains an unencoded `/`, `#` or `?`."""
_PAIR = re.compile(r"""([A-Za-z_][\w .-]{0,60}?)["']?\s*[=:]\s*["']?(?!//)([^\s&;,"'{}]+)""")
_SCHEME = re.compile(r"\b(Bearer|Basic|Token|ApiKey)\s+([^\s\"',;]{6,})", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SPLIT = re.compile(r"[\s\"'`,;:&?@()<>{}|\[\]\\]+|=(?=[^=])")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_PATH = re.compile(r"(?:~?/|\.{1,2}/|[A-Za-z]:[\\/]).*", re.DOTALL)
_PLAIN_WORDS = re.compile(r"[a-z]+(?:[-_. ][a-z]+)*")

_STRONG = frozenset(
    """KEY KEYS TOKEN TOKENS SECRET SECRETS PASSWORD PASSWORDS PASSWD PASSPHRASE PASSCODE PASS PWD CREDENTIAL
    CREDENTIALS CREDS AUTHORIZATION BEARER JWT DSN WEBHOOK WEBHOOKS COOKIE COOKIES PEM OTP CONNSTR
    CONNECTIONSTRING PAT""".split()
)
_WEAK = frozenset("AUTH SESSION SESSIONID PRIVATE SIGNATURE SIG SAS SALT PIN".split())
"""Words that may also name a setting; a value of plain lower-case words is then a setting."""
_ENDS = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIALS", "WEBHOOK", "COOKIE", "KEY", "PWD")
_NOT_KEYS = frozenset("MONKEY DONKEY TURKEY HOCKEY JOCKEY WHISKEY HOTKEY".split())
_BEFORE_KEY = frozenset("PUBLIC PRIMARY FOREIGN SORT PARTITION GROUP ROUTING HOT COMPOSE META ROW OBJECT".split())
_PAIRS = frozenset({("CONNECTION", "STRING"), ("CONN", "STRING"), ("CONN", "STR")})
_ABOUT = frozenset(
    """FILE FILES PATH DIR DIRECTORY FOLDER HOME SOCK SOCKET NAME NAMES TYPE KIND MODE METHOD METHODS ALG ALGO ALGORITHM
    PROVIDER ISSUER AUDIENCE SCOPE SCOPES COUNT LIMIT LIMITS MAX MIN SIZE LENGTH LEN BITS TTL TIMEOUT AGE EXPIRY EXPIRES
    EXPIRATION LIFETIME DAYS HOURS MINUTES SECONDS SEC MS ENABLED DISABLED ENABLE DISABLE REQUIRED OPTIONAL REGION HOST
    PORT USER USERNAME EMAIL VERSION FORMAT HEADER PREFIX SUFFIX ENV VAR COLUMN FIELD PARAM DOMAIN LAYOUT MAP MANAGER
    ADDRESS CLASS DESKTOP STRATEGY BACKEND STORE DRIVER ENGINE BUCKET TABLE QUEUE LEVEL PARALLELISM STATUS
    POLICY""".split()
)
"""Last words of names whose value describes a secret."""
_MEASURED = frozenset("MAX MIN NUM LIMIT COUNT BUDGET".split())
_WITH_URL = frozenset("WEBHOOK WEBHOOKS DSN SAS".split())
"""Words whose URL is itself the secret."""
_NOT_SECRET = frozenset({"PWD", "OLDPWD", "XDG_SESSION_ID"})
_RANDOM_BY_NATURE = frozenset(
    """SHA SHA1 SHA256 COMMIT REVISION REV DIGEST HASH CHECKSUM ETAG REF REFS BRANCH RUN ID IDS UUID GUID VERSION PATH
    HOST HOSTNAME NAME POD NODE IMAGE COLORS STREAM DIR HOME FILE TRACE TRACEPARENT SPAN BUILD CACHE""".split()
)
"""Words of names whose values are random without being secret."""
KNOWN_TO_ALL = frozenset(
    """true false none null default undefined unset empty admin administrator postgres postgresql mysql mariadb mongodb
    mongo redis rabbitmq guest anonymous localhost password passwd secret token changeme change-me change_me example
    placeholder enabled disabled required optional public private master production development staging testing test
    ubuntu debian gnome wayland session bearer basic oauth oauth2 minioadmin root user username""".split()
)
"""Values that are not secret, and that an ordinary answer may contain."""


def secret_values(env: Mapping[str, str], named: Collection[str] = ()) -> set[str]:
    """Return every secret text: secret values, and their parts that can appear alone.

    Args:
        env: the environment.
        named: variables that a suite asks for; they are secret under any name.
    """
    found = {text for name, value in env.items() for text in _of(name, value, name in named)}
    return {text for text in found if _counts(text)}


def _of(name: str, value: str, named: bool, depth: int = 0) -> Iterator[str]:
    if len(value) < SHORTEST or value.casefold() in KNOWN_TO_ALL:
        return
    words = _words(name)
    parts = {part for part in _parts(value, words) if _counts(part)}
    if parts or (named and not _is_plain(value)) or _named_secret(name, words, value):
        yield value
        yield value.strip()
        yield from (line for line in value.replace("\\n", "\n").split("\n") if len(line) >= RANDOM_CHARS)
    yield from parts
    if value.lstrip()[:1] in ("{", "[") and depth < _MOST_DEPTH:
        yield from _inside(value, depth)


def _inside(value: str, depth: int) -> Iterator[str]:
    """Yield the secrets of a value that is JSON, such as a service account."""
    try:
        decoded = json.loads(value)
    except (ValueError, RecursionError):
        return
    for key, text in _texts(decoded, ""):
        yield from _of(key, text, False, depth + 1)


def _texts(value: Any, key: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif depth < _MOST_DEPTH:
        pairs = (
            value.items()
            if isinstance(value, dict)
            else [(key, each) for each in value or ()]
            if isinstance(value, list)
            else ()
        )
        for name, item in pairs:
            yield from _texts(item, name, depth + 1)


def _counts(text: str) -> bool:
    return len(text) >= SHORTEST and text.casefold() not in KNOWN_TO_ALL


def _words(name: str) -> list[str]:
    return [word.upper() for word in _WORD.findall(name)]


def _named_secret(name: str, words: list[str], value: str) -> bool:
    """Return whether the name makes this value a secret."""
    if name in _NOT_SECRET or not words:
        return False
    strong = any(_is_strong(word, before) for before, word in zip(["", *words], words, strict=False))
    strong = strong or any(pair in _PAIRS for pair in itertools.pairwise(words))
    weak = not _WEAK.isdisjoint(words) and not _PLAIN_WORDS.fullmatch(value)
    if not (strong or weak) or (words[-1] in _ABOUT and not _is_random(value)):
        return False
    if not _MEASURED.isdisjoint(words) or ("TOKENS" in words and value.isdigit()):
        return False
    return not _is_plain(value) or (not _WITH_URL.isdisjoint(words) and "://" in value)


def _is_strong(word: str, before: str) -> bool:
    if word == "KEY":
        return before not in _BEFORE_KEY
    return word in _STRONG or (word.endswith(_ENDS) and word not in _NOT_KEYS)


def _is_plain(value: str) -> bool:
    """Return True for a path, and for a URL without user, parameters and random parts."""
    pieces = value.split("/")
    if any(_is_random(piece, 12) for piece in pieces):
        return False
    if "://" in value:
        return not ("@" in value or "?" in value or "#" in value or re.search(r"\s", value))
    return _PATH.fullmatch(value) is not None and "\n" not in value


def _parts(value: str, words: list[str]) -> Iterator[str]:
    """Yield the secrets in a value, by their form."""
    for url in _URL.findall(value):
        yield from _of_url(url)
    for key, given in _PAIR.findall(value):
        text = unquote_plus(given)
        if not given.startswith("-----") and _named_secret(key.strip(), _words(key), text):
            yield from (given, text)
    for scheme, given in _SCHEME.findall(value):
        if _is_random(given, 12) or not _PLAIN_WORDS.fullmatch(given):
            yield given
            yield from _basic(given) if scheme.lower() == "basic" else ()
    yield from VENDOR.findall(value)
    if _PRIVATE_KEY.search(value):
        yield value
    if _RANDOM_BY_NATURE.isdisjoint(words) and not _PATH.fullmatch(value):
        yield from _random_words(value)


def _of_url(url: str) -> Iterator[str]:
    match = _USER.search(url) or _LOOSE_USER.search(url)
    if match:
        user, colon, password = match[1].partition(":")
        if colon and password:
            yield from (match[1], password, unquote(password), f"{unquote(user)}:{unquote(password)}")
        if _is_random(user) or VENDOR.search(user):
            yield user
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return
    if "hooks." in host or "webhook" in url.lower() or "/hooks/" in parts.path:
        yield from (part for part in (parts.path.lstrip("/"), parts.path.rpartition("/")[2]) if _is_random(part, 12))


def _basic(given: str) -> Iterator[str]:
    try:
        pair = base64.b64decode(given + "=" * (-len(given) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return
    yield from (pair, pair.partition(":")[2])


def _random_words(value: str) -> Iterator[str]:
    for word in _SPLIT.split(value):
        for part in (word, *word.split("/"), *word.split(".")):
            if len(part) >= RANDOM_CHARS and _is_random(part):
                yield part


def _is_random(word: str, least: int = RANDOM_CHARS) -> bool:
    """Return whether a word looks random: long, without repeats, digits and letters mixed throughout."""
    core = word.strip("=")
    if len(core) < least or _UUID.search(core):
        return False
    if _HEX.fullmatch(core):
        return len(core) >= 32 and not core.isdigit() and _bits(core) >= RANDOM_BITS - 0.5
    kinds = [_kind(char) for char in core]
    if "d" not in kinds or not {"l", "u"}.intersection(kinds) or kinds.count("") > 0.25 * len(core):
        return False
    # A capital before a small letter begins a word, so `MyService` has one change, not two.
    turns = sum(a != b and "" not in (a, b) and (a, b) != ("u", "l") for a, b in itertools.pairwise(kinds))
    return turns >= _TURNS * (len(core) - 1) and _bits(core) >= min(RANDOM_BITS, math.log2(len(core)) * 0.85)


def _kind(char: str) -> str:
    return "d" if char.isdigit() else "l" if char.islower() else "u" if char.isupper() else ""


def _bits(text: str) -> float:
    """Return the Shannon entropy of a character, in bits."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
