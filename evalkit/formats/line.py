"""Encode and decode one line of a journal: a checksum and the text of a row."""

from __future__ import annotations

import hashlib

ROW_FORMAT = 1
"""Version of a row's fields, stored in each row."""
_HEAD, _MIDDLE, _END = b'{"sum":"', b'","row":', b"}\n"
_SUM_HEX = 32
_BODY = len(_HEAD) + _SUM_HEX + len(_MIDDLE)


def seal(body: bytes) -> bytes:
    """Encode the line of a row."""
    return _HEAD + _checksum(body) + _MIDDLE + body + _END


def body_of(line: bytes) -> bytes | None:
    """Return the row of a line, `None` if the line is torn or its checksum does not match."""
    body = line[_BODY : -len(_END)]
    return body if line.endswith(_END) and line[:_BODY] == _HEAD + _checksum(body) + _MIDDLE else None


def sum_of(line: bytes) -> bytes:
    """Return the checksum of an intact line."""
    return line[len(_HEAD) : len(_HEAD) + _SUM_HEX]


def is_sealed(line: bytes) -> bool:
    """Return True if a line begins like those of a journal, complete or not."""
    return line.startswith(_HEAD) or _HEAD.startswith(line)


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_SUM_HEX // 2).hexdigest().encode()
