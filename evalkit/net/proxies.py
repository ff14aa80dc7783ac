"""Find the proxy of an address in the environment, as curl does."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from evalkit.net.addresses import is_local

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def find_proxy(url: str, env: Mapping[str, str]) -> str | None:
    """Return the address of the proxy for a URL, `None` for a direct connection.

    `http_proxy` or `https_proxy` by the scheme of the URL, else `all_proxy`; the lower-case name counts first. This
    machine, and the hosts in `no_proxy`, are called directly.

    Raises:
        ValueError: In the form `what; fix`: the proxy cannot be used. Its address is not shown, because it may hold a
            password.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    name, value = _first(env, "HTTPS_PROXY" if parts.scheme == "https" else "HTTP_PROXY", "ALL_PROXY")
    if not value or is_local(host) or _is_excepted(host, parts.port, _first(env, "NO_PROXY")[1]):
        return None
    address = value if "://" in value else f"http://{value}"
    try:
        proxy = urlsplit(address)
        sound = proxy.scheme in ("http", "https") and proxy.hostname and (proxy.port or 1) > 0
    except ValueError:
        sound = False
    if not sound:
        raise ValueError(
            f"environment variable {name} is not the address of an HTTP proxy; "
            f"write one such as http://proxy.example.org:3128, or add the host to NO_PROXY"
        )
    return address


def _first(env: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Return name and value of the first variable that is set, in either case."""
    spellings = [spelling for name in names for spelling in (name.lower(), name)]
    return next(((name, env[name].strip()) for name in spellings if env.get(name, "").strip()), ("", ""))


def _is_excepted(host: str, port: int | None, no_proxy: str) -> bool:
    """Return whether `no_proxy` names a host: itself or its domain, an address, a network, `host:port` or `*`."""
    address = _address(host)
    for entry in re.split(r"[\s,]+", no_proxy.lower()):
        name, colon, wanted = entry.rpartition(":")
        if colon and wanted.isdigit() and name.count(":") == 0:
            if port is None or int(wanted) != port:
                continue
            entry = name
        domain = entry.strip("[]").lstrip("*").lstrip(".").rstrip(".")
        if entry == "*" or (domain and (host == domain or host.endswith(f".{domain}"))):
            return True
        if address is not None and (network := _network(entry)) is not None and address in network:
            return True
    return False


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None
