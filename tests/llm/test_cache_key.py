"""The key of kept replies: outside the project, made once, never read from where others can write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.llm.cache import ReplyCache
from evalkit.llm.cache_key import cache_key


def test_a_user_has_one_key(tmp_path: Path) -> None:
    """Made at first, and the same from then on; only its owner can read it."""
    env, root = {"HOME": str(tmp_path / "home")}, tmp_path / "project"
    key = cache_key(env, root)
    file = tmp_path / "home" / ".local" / "state" / "evalkit" / "cache.key"
    assert key == cache_key(env, root) == file.read_bytes()
    assert len(key) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert cache_key({**env, "XDG_STATE_HOME": str(tmp_path / "state")}, root) != key
    assert cache_key({**env, "XDG_STATE_HOME": "relative"}, root) == key


def test_processes_that_begin_together_make_one_key(tmp_path: Path) -> None:
    """The first one's counts for all."""
    code = (
        "import sys; from pathlib import Path; from evalkit.llm.cache_key import cache_key; sys.stdin.read()\n"
        "print(cache_key({'HOME': sys.argv[1]}, Path('/nowhere')).hex())"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    together = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in together:
        assert process.stdin is not None
        process.stdin.close()
    found = set()
    for process in together:
        assert process.stdout is not None
        with process.stdout:
            found.add(process.stdout.read())
        assert process.wait(60) == 0
    assert len(found) == 1
    assert [file.name for file in (tmp_path / ".local" / "state" / "evalkit").iterdir()] == ["cache.key"]


def test_a_variable_goes_before_the_file(tmp_path: Path) -> None:
    """Two values are two keys; nothing is written."""
    keys = {cache_key({"EVALKIT_CACHE_KEY": value * 16, "HOME": str(tmp_path)}, tmp_path) for value in "ab"}
    assert len(keys) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", ["in the project", "a link into the project", "short", "long", "writable", "a folder"])
def test_a_key_that_others_may_know_is_refused(case: str, tmp_path: Path) -> None:
    """Each with its reason; no reply is taken then."""
    root, folder = tmp_path / "project", tmp_path / "home" / ".local" / "state" / "evalkit"
    folder.mkdir(parents=True)
    root.mkdir()
    file = folder / "cache.key"
    if case == "in the project":
        root = tmp_path / "home"
    elif case == "a link into the project":
        (root / "key").write_bytes(b"k" * 32)
        file.symlink_to(root / "key")
    elif case == "a folder":
        file.mkdir()
    else:
        file.write_bytes(b"k" * {"short": 31, "long": 33, "writable": 32}[case])
        file.chmod(0o666 if case == "writable" else 0o600)
    with pytest.raises(ValueError, match=r"cache\.key"):
        cache_key({"HOME": str(tmp_path / "home")}, root)


def test_another_key_reads_nothing_and_replaces(tmp_path: Path) -> None:
    """What was signed with another key is counted, and kept anew in its place."""
    file = tmp_path / "cache.sqlite"
    for key, n_foreign in ((b"one", 0), (b"two", 1), (b"two", 0), (b"one", 1)):
        with ReplyCache(file, key=key) as cache:
            found = cache.get("question")
            assert cache.n_foreign == n_foreign
            assert (found is None) == (n_foreign == 1 or key == b"one")
            cache.put("question", {"text": key.decode()})
            assert cache.get("question") == {"text": key.decode()}


def test_the_first_reply_counts_for_both(tmp_path: Path) -> None:
    """Two runs that ask the same question at the same time go on with one reply, unless they asked for new ones."""
    file = tmp_path / "cache.sqlite"
    with ReplyCache(file) as first, ReplyCache(file) as second, ReplyCache(file, taken=False) as anew:
        assert first.get("q") is second.get("q") is None
        assert second.put("q", {"text": "2"}) == {"text": "2"}
        assert first.put("q", {"text": "1"}) == {"text": "2"}
        assert anew.put("q", {"text": "3"}) == {"text": "3"}
        assert first.get("q") == {"text": "3"}
