"""Read the JSON members of a zip file, packed by deflate or zstd, without unpacking anything to the disk."""

from __future__ import annotations

import importlib.util
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from evalkit.disk.files import open_file
from evalkit.errors import InputError, Problem, what_and_fix
from evalkit.golden.json_lines import Rejected

ZSTD = 93
"""Number of the method in a zip file; Python's own module reads it from 3.14 on."""
MAX_MEMBER_BYTES = 64 << 20
MAX_TOTAL_BYTES = 256 << 20
MAX_MEMBERS = 200_000
_LOCAL_HEADER = 30
_ENCRYPTED = 1


def read_members(
    path: Path, shown: str, wanted: Callable[[str], bool], decode: Callable[[str], Any], fix: str
) -> Iterator[tuple[str, Any]]:
    """Yield the name and value of each member that is wanted, in their order. Names are never used as paths.

    Args:
        path: the zip file.
        shown: the file in messages.
        wanted: tells by a name whether to read a member.
        decode: turns the text of a member into its value.
        fix: what to do if a member cannot be unpacked here.

    Raises:
        InputError: the file is damaged, packed in another way, or unpacks to more than the limits.
    """
    with open_file(path, max_line_bytes=1 << 62) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError, EOFError) as error:
            raise InputError(Problem(shown, f"not a whole zip file ({error})", "copy the log again")) from None
        chosen = [info for info in infos if wanted(info.filename)]
        if len(infos) > MAX_MEMBERS or sum(info.file_size for info in chosen) > MAX_TOTAL_BYTES:
            what = f"more than {MAX_TOTAL_BYTES >> 20} MiB, or {MAX_MEMBERS:,} members"
            raise InputError(Problem(shown, what, "import a log of fewer samples"))
        for info in chosen:
            place = f"{shown} {info.filename[:200]}"
            try:
                data = _data(file, info, place, fix)
                yield info.filename, decode(data.decode())
            except (zlib.error, OSError, EOFError, ValueError, RecursionError) as error:
                raise InputError(Problem(place, *_said(error))) from None


def _said(error: Exception) -> tuple[str, str]:
    if isinstance(error, Rejected):
        return what_and_fix(error)
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at line {error.lineno}", "copy the log again"
    if isinstance(error, RecursionError):
        return "nested too deep", "flatten it"
    return f"cannot be unpacked ({error})", "copy the log again"


def _data(file: BinaryIO, info: zipfile.ZipInfo, place: str, fix: str) -> bytes:
    """Return the bytes of a member."""
    if info.file_size > MAX_MEMBER_BYTES or info.flag_bits & _ENCRYPTED:
        what = "encrypted" if info.flag_bits & _ENCRYPTED else f"more than {MAX_MEMBER_BYTES >> 20} MiB"
        raise InputError(Problem(place, what, fix))
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise ValueError("no header where the list of members says")
    n_name, n_extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
    file.seek(info.header_offset + _LOCAL_HEADER + n_name + n_extra)
    packed = file.read(min(info.compress_size, MAX_TOTAL_BYTES))
    data = _unpacked(packed, info, place, fix)
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise ValueError("its size or checksum is not the one in the list of members")
    return data


def _unpacked(packed: bytes, info: zipfile.ZipInfo, place: str, fix: str) -> bytes:
    """Unpack at most one byte more than the list of members says."""
    most = info.file_size + 1
    if info.compress_type == zipfile.ZIP_STORED:
        return packed
    if info.compress_type == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
    if info.compress_type != ZSTD:
        raise InputError(Problem(place, f"packed by method {info.compress_type}", fix))
    if importlib.util.find_spec("zstandard") is None:
        what = "packed with zstd, which needs the zstandard package"
        raise InputError(Problem(place, what, f"run `pip install 'zstandard<1'`, or {fix}"))
    import zstandard

    try:
        reader = zstandard.ZstdDecompressor(max_window_size=MAX_MEMBER_BYTES * 2).stream_reader(io.BytesIO(packed))
        found: bytes = reader.read(most)
        return found
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
