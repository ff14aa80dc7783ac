"""Imports of inspect: logs in JSON and as archives, which may be damaged or hostile."""

from __future__ import annotations

import importlib.util
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard
from import_lab import Import, bytes_of, import_file, import_text

from evalkit import Score
from evalkit.errors import InputError

STORED, DEFLATED, ZSTD = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, 93


def sample(name: Any = "refund", epoch: int = 1, text: str = "Refunded 20 EUR.", **more: Any) -> dict[str, Any]:
    """One sample of a log."""
    call = {"id": "c1", "function": "get_order", "arguments": {"id": 7}, "type": "function"}
    return {
        "id": name,
        "epoch": epoch,
        "input": "Refund order 7.",
        "target": "20 EUR",
        "messages": [
            {"id": "m1", "role": "user", "content": "Refund order 7."},
            {
                "role": "assistant",
                "content": [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Looking"}],
                "tool_calls": [call],
            },
            {"role": "tool", "content": "attachment://a1", "tool_call_id": "c1", "function": "get_order"},
            {"role": "assistant", "content": text},
        ],
        "output": {"model": "m", "completion": text, "choices": []},
        "scores": {"includes": {"value": "C" if "20" in text else "I", "explanation": text}},
        "metadata": {"topic": "refund", "order": {"id": 7}},
        "store": {"paid": 20},
        "attachments": {"a1": "found it"},
        "events": [
            {"event": "sample_init", "timestamp": "2026-11-28T10:00:00+00:00"},
            {
                "event": "model",
                "model": "m",
                "timestamp": "2026-11-28T10:00:01+00:00",
                "completed": "2026-11-28T10:00:02+00:00",
                "output": {"usage": {"input_tokens": 30, "output_tokens": 5}},
            },
            {"event": "approval", "decision": "approve", "call": call},
            {**call, "event": "tool", "result": None, "error": {"type": "timeout", "message": "too slow"}},
        ],
        "model_usage": {
            "m": {"input_tokens": 30, "output_tokens": 5, "total_tokens": 35},
            "n": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4},
        },
        "total_time": 2.5,
        **more,
    }


def log(*samples: Any, **more: Any) -> dict[str, Any]:
    """A log."""
    scorers = [{"name": "includes", "options": {}}, {"name": "model_graded_qa", "options": {}}]
    ids = list(dict.fromkeys(each["id"] for each in samples if isinstance(each, dict)))
    evaluation = {"task": "refunds", "model": "mock", "dataset": {"sample_ids": ids}, "scorers": scorers}
    return {"version": 2, "status": "success", "eval": evaluation, "samples": [*samples], **more}


LOG = log(sample(), sample(epoch=2, text="No."), sample("second", target=["a", "20"]))


def test_a_sample_is_a_case_and_an_epoch_a_repeat(tmp_path: Path) -> None:
    """Scores are recorded, and the rule behind them is a check: both say the same."""
    made = import_text(tmp_path, "log.json", LOG)
    assert made.counts == {"case": (2, 2), "output": (3, 3), "scorer": (2, 1)}
    assert [place for place, _ in made.losses] == ["log.json eval.scorers[1]"]
    assert made.golden[0] == {
        "id": "refund",
        "input": "Refund order 7.",
        "reference": ["20 EUR"],
        "cohorts": {"topic": "refund"},
        "order": {"id": 7},
        "checks": [{"contains": {"any": ["20 EUR"], "ignore_case": True}}],
    }
    recorded = [(row["id"], row["repeat"], row["recorded"]["includes"]["value"]) for row in made.answers]
    assert recorded == [("refund", 0, 1.0), ("refund", 1, 0.0), ("second", 0, 1.0)]
    assert passed(made) == [1.0, 0.0, 1.0]


def passed(made: Import) -> list[float]:
    """The values of `checks` in a run, by case and repeat."""
    import evalkit

    rows = [*evalkit.run(made.written.suites[0], out=made.folder.parent / "run", baseline="none").rows()]
    rows.sort(key=lambda row: (row.case.id, row.repeat))
    return [grade.value for row in rows if isinstance(grade := row.scores.get("checks"), Score)]


def test_an_output_has_what_the_events_say(tmp_path: Path) -> None:
    """Text without thoughts, attachments in their place, steps with errors and times, tokens of all models once."""
    output = import_text(tmp_path, "log.json", log(sample())).answers[0]["output"]
    assert output["usage"] == {"input_tokens": 33, "output_tokens": 6}
    assert output["latency_s"] == 2.5
    assert output["state"] == {"paid": 20}
    assert output["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "Looking"}],
        "tool_calls": [{"id": "c1", "name": "get_order", "arguments": {"id": 7}}],
    }
    assert output["messages"][2] == {"role": "tool", "content": "found it", "tool_call_id": "c1"}
    assert output["trajectory"] == [
        {
            "kind": "llm", "name": "m", "usage": {"input_tokens": 30, "output_tokens": 5}, "started_s": 1.0,
            "ended_s": 2.0,
        },
        {"kind": "approval", "name": "get_order", "decision": "approved", "arguments": {"id": 7}},
        {
            "kind": "tool", "name": "get_order", "call_id": "c1", "arguments": {"id": 7}, "result": None,
            "error": "too slow",
        },
    ]  # fmt: skip


def test_a_failed_sample_is_a_failed_call(tmp_path: Path) -> None:
    """Its error is the reason; a limit that was hit says why the system stopped."""
    made = import_text(
        tmp_path,
        "log.json",
        log(sample(error={"message": "boom"}), sample("b", output=None), sample("c", limit={"type": "message"})),
    )
    assert [row.get("failure", {}).get("message") for row in made.answers] == ["boom", "no output", None]
    assert made.answers[2]["output"]["stop"] == "limit: message"


def test_a_log_that_did_not_end_and_numbers_that_are_unknown_are_noted(tmp_path: Path) -> None:
    """Inspect writes NaN for what it did not score: unknown is no number."""
    text = json.dumps(log(sample(scores={"includes": {"value": float("nan")}}), status="error"))
    made = import_text(tmp_path, "log.json", text)
    assert [what[:40] for _, what in made.losses[:2]] == [
        "the status is error, so samples may be m", "NaN or Infinity in place of a number, 1 ",
    ]  # fmt: skip
    assert made.answers[0]["recorded"]["includes"]["value"] is None


def archive(members: dict[str, bytes], method: int = ZSTD, **odd: int) -> bytes:
    """A zip file; `size`, `crc`, `flags` and `cut` make it lie or break."""
    body, directory = b"", b""
    for name, data in members.items():
        packed = data
        if method == ZSTD:
            packed = zstandard.ZstdCompressor().compress(data)
        elif method == DEFLATED:
            packer = zlib.compressobj(wbits=-15)
            packed = packer.compress(data) + packer.flush()
        crc, size = odd.get("crc", zlib.crc32(data)), odd.get("size", len(data))
        common = struct.pack("<HHHHHIIIHH", 63, odd.get("flags", 0), method, 0, 0, crc, len(packed), size, len(name), 0)
        directory += b"PK\x01\x02" + struct.pack("<H", 63) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(body))
        directory += name.encode()
        body += b"PK\x03\x04" + common + name.encode() + packed
    n = len(members)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, n, n, len(directory), len(body), 0)
    return (body + directory + end)[: odd.get("cut", 1 << 60)]


def members(*samples: dict[str, Any], **more: Any) -> dict[str, bytes]:
    """The members of an archive of a log."""
    header = {key: value for key, value in log(*samples, **more).items() if key != "samples"}
    named = {f"samples/{each['id']}_epoch_{each['epoch']}.json": json.dumps(each).encode() for each in samples}
    return {"_journal/start.json": json.dumps({"eval": header["eval"]}).encode(), **named,
            "summaries.json": b"[]", "header.json": json.dumps(header).encode()}  # fmt: skip


def import_bytes(folder: Path, data: bytes) -> Import:
    """Import an archive."""
    (folder / "pyproject.toml").touch()
    (folder / "log.eval").write_bytes(data)
    return import_file(folder / "log.eval", folder / "archive")


@pytest.mark.parametrize("method", [STORED, DEFLATED, ZSTD])
def test_an_archive_gives_what_its_json_gives(tmp_path: Path, method: int) -> None:
    """However it is packed, and whatever the order of its members is."""
    samples = [sample("second"), sample(epoch=2, text="No."), sample()]
    made = import_bytes(tmp_path, archive(members(*samples), method))
    plain = import_text(tmp_path, "log.json", log(*samples), "plain")
    for name in ("golden.jsonl", "answers.jsonl"):
        assert bytes_of(made.folder)[name] == bytes_of(plain.folder)[name]


def test_without_zstandard_the_fix_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package, or a command of inspect that needs none."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "zstandard" else real(name, *rest)
    )
    with pytest.raises(InputError, match=r"pip install 'zstandard<1'`, or run `inspect log convert --to json`"):
        import_bytes(tmp_path, archive(members(sample())))


def test_an_archive_of_a_log_that_was_not_finished(tmp_path: Path) -> None:
    """Its samples are read, and it is noted."""
    parts = members(sample())
    del parts["header.json"]
    made = import_bytes(tmp_path, archive(parts))
    assert made.counts["case"] == (1, 1)
    assert "the status is unknown" in made.losses[0][1]


MANY = b"[" + b"0," * 4_000_000 + b"0]"
BOMB = b"[" + b"0," * (40 << 20) + b"0]"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (archive(members(sample()), cut=600), "not a whole zip file"),
        (archive(members(sample()), size=10), "its size or checksum"),
        (archive(members(sample()), crc=7), "its size or checksum"),
        (archive(members(sample()), flags=1), "encrypted"),
        (b"PK\x03\x04" + archive(members(sample()))[4:].replace(b"PK\x03\x04", b"PK\x03\x03"),
         "no header where the list of members says"),
        (archive({"samples/a.json": BOMB}), "more than 64 MiB"),
        (archive({"samples/a.json": BOMB}, size=1 << 10), "its size or checksum"),
        (archive({"samples/a.json": BOMB}, DEFLATED, size=1 << 10), "its size or checksum"),
        (archive({f"samples/{at}.json": BOMB for at in range(4)}), "more than 256 MiB"),
        (archive({f"samples/{at}.json": MANY for at in range(3)}), "more than 10,000,000 values"),
        (archive({"samples/a.json": b"[" * 90_000}), "nested"),
        (archive({"samples/a.json": b"\xff"}), "cannot be unpacked"),
        (archive({"samples/a.json": b"{"}), "not JSON"),
        (archive({"samples/a.json": b'{"a": 1, "a": 2}'}), "the key 'a' is duplicated"),
        (archive({"header.json": b"{}"}), "no case in it can be carried over"),
        (archive({"../../evil.json": b"{}", "samples/../../evil.txt": b"x"}), "no case in it can be carried over"),
        (archive({}), "no case in it can be carried over"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
@pytest.mark.slow
def test_a_damaged_or_hostile_archive_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    """With the member, in bounded memory; nothing is unpacked to the disk."""
    with pytest.raises(InputError, match=said):
        import_bytes(tmp_path, data)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["log.eval", "pyproject.toml"]


def test_names_of_members_lead_nowhere(tmp_path: Path) -> None:
    """A member called like a way out of the folder is read as a sample, and written nowhere."""
    parts = members(sample())
    parts["samples/../../out_epoch_1.json"] = json.dumps(sample("evil")).encode()
    made = import_bytes(tmp_path, archive(parts))
    assert [row["id"] for row in made.golden] == ["refund", "evil"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "log.eval", "pyproject.toml"]
