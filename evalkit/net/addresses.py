"""Build the address and the key header of a model endpoint."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110, section 5.6.2."""
AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_AZURE_PATH = "/openai/deployments/"


def endpoint_url(base_url: str, path: str) -> str:
    """Return the address of one operation, such as `chat/completions`: a missing path goes before the query."""
    address, mark, query = base_url.partition("?")
    address = address.rstrip("/").removesuffix(f"/{path}")
    return f"{address}/{path}{mark}{query}"


def key_header(key: str, base_url: str, name: str | None = None) -> Mapping[str, str]:
    """Return the header that carries a key.

    Args:
        key: The key.
        base_url: Address of the endpoint. Azure OpenAI takes keys in `api-key` alone.
        name: Name of the header, if the suite sets one.
    """
    header = name or ("api-key" if _is_azure(base_url) else "Authorization")
    return {header: f"Bearer {key}" if header.lower() == "authorization" else key}


def is_local(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_azure(base_url: str) -> bool:
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    return host.endswith(AZURE_HOSTS) or f"{parts.path.rstrip('/')}/".find(_AZURE_PATH) >= 0
