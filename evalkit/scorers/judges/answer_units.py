"""Parse units and currencies written after or before numbers, for the local judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Reading = tuple[str, float, float]
"""One meaning of a unit: its dimension, and the factor and offset that convert it to the base unit."""

FAHRENHEIT_ZERO = 459.67 * 5 / 9
_TABLE: Mapping[str, Mapping[str, float]] = {
    "share": {"% percent pct": 0.01, "\u2030 permille": 0.001, "bp bps": 0.0001},
    "time": {
        "\u03bcs microsecond": 1e-6,
        "ms millisecond": 0.001,
        "sec second secs": 1,
        "min minute mins": 60,
        "h hr hour hrs": 3600,
        "day": 86400,
        "week": 604800,
        "month": 2629800,
        "year yr yrs": 31557600,
    },
    "length": {
        "\u03bcm micrometre": 1e-6,
        "mm millimetre": 0.001,
        "cm centimetre": 0.01,
        "m metre": 1,
        "km kilometre": 1000,
        "inch inches": 0.0254,
        "ft foot feet": 0.3048,
        "yd yard": 0.9144,
        "mi mile": 1609.344,
    },
    "mass": {
        "\u03bcg mcg microgram": 1e-6,
        "mg milligram milligramme": 0.001,
        "g gram gramme": 1,
        "kg kilogram kilogramme kilo": 1000,
        "t tonne": 1_000_000,
        "oz ounce": 28.349523125,
        "lb lbs pound": 453.59237,
    },
    "volume": {"ml millilitre": 0.001, "cl centilitre": 0.01, "l litre": 1},
    "bytes": {"kb kilobyte": 1e3, "mb megabyte": 1e6, "gb gigabyte": 1e9, "tb terabyte": 1e12},
    "frequency": {"hz hertz": 1, "khz": 1e3, "mhz": 1e6, "ghz": 1e9},
    "energy": {"j joule": 1, "kj": 1e3, "kcal calories": 4184, "wh": 3600, "kwh": 3.6e6, "mwh": 3.6e9, "gwh": 3.6e12},
    "power": {"watt": 1, "kw": 1e3, "mw": 1e6, "gw": 1e9},
    "usd": {"$ usd dollar": 1, "cent": 0.01},
    "eur": {"\u20ac eur euro": 1, "cent": 0.01},
    "gbp": {"\u00a3 gbp pound sterling": 1, "pence": 0.01},
    "jpy": {"\u00a5 jpy yen": 1},
    "chf": {"chf franc": 1},
    "inr": {"\u20b9 inr rupee": 1},
}
_TEMPERATURES: Mapping[str, Reading] = {
    "celsius": ("temperature", 1.0, 273.15),
    "fahrenheit": ("temperature", 5 / 9, FAHRENHEIT_ZERO),
    "kelvin": ("temperature", 1.0, 0.0),
    "k": ("temperature", 1.0, 0.0),
}
_TWO_WORDS: Mapping[tuple[str, ...], str] = {
    ("per", "cent"): "%",
    ("percentage", "points"): "%",
    ("percentage", "point"): "%",
    ("basis", "points"): "bp",
    ("us", "dollars"): "usd",
    ("degrees", "kelvin"): "kelvin",
}
CURRENCIES = frozenset({"usd", "eur", "gbp", "jpy", "chf", "inr"})


def _spellings(name: str) -> Iterator[str]:
    forms = {name, name.replace("metre", "meter").replace("litre", "liter")}
    for form in forms:
        yield form
        if len(form) > 2:
            yield f"{form}s"


def _readings() -> dict[str, tuple[Reading, ...]]:
    found: dict[str, tuple[Reading, ...]] = {word: (one,) for word, one in _TEMPERATURES.items()}
    for dimension, units in _TABLE.items():
        for names, factor in units.items():
            for name in names.split():
                for word in _spellings(name):
                    found[word] = (*found.get(word, ()), (dimension, float(factor), 0.0))
    return found


UNITS = _readings()
"""The meanings of each word or sign; a pound is money or a mass."""


def readings(behind: tuple[str, ...], gaps: Sequence[str]) -> tuple[Sequence[Reading], int]:
    """Read the unit after a number, and count the words that it takes.

    Args:
        behind: the next words.
        gaps: the text before each of them, and after the last if the text ends there.
    """
    sign = gaps[0].lstrip(" ")[:1]
    if sign in UNITS and not (behind and gaps[0].endswith(sign) and UNITS[sign][0][0] in CURRENCIES):  # 5 $6
        return UNITS[sign], 0
    if not behind or gaps[0].strip(" -"):
        return (), 0
    if behind[:2] in _TWO_WORDS:
        return UNITS[_TWO_WORDS[behind[:2]]], 2
    return (UNITS[behind[0]], 1) if behind[0] in UNITS else ((), 0)


def currency_before(gap: str, word: str) -> Sequence[Reading]:
    """Return the currency that a sign or a code before a number names."""
    sign = gap.rstrip(" -")[-1:]
    if sign in UNITS and UNITS[sign][0][0] in CURRENCIES:
        return UNITS[sign]
    return UNITS[word] if word in CURRENCIES and not gap.strip() else ()
