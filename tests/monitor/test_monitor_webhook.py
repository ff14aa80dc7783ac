"""Alarms reach a webhook once, signed, with three tries, and without any text of calls."""

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from watch_lab import Lab, look

from evalkit.errors import InputError
from evalkit.monitor.alarms import read_alerts
from evalkit.operations.monitor_webhook import SIGNATURE, Sent, check_webhook, send_alarms

KEY = {"EVALKIT_WEBHOOK_KEY": "secret"}


class Receiver:
    """A server that answers with the given statuses in turn, then with 204, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook on this machine."""
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def alarmed(quiet: Lab) -> Lab:
    """A monitor with one alarm, of the rule in one cohort, and warnings."""
    quiet.rates["loans"] = 0.45
    quiet.add(3, texts=True)
    quiet.close_day()
    look(quiet)
    return quiet


def deliver(lab: Lab, url: str, env: dict[str, str] | None = None) -> Sent:
    """Send without waiting between attempts."""

    async def at_once(seconds: float) -> None:
        await asyncio.sleep(0)

    return asyncio.run(send_alarms(lab.file, url, env or {}, lab.now, sleep=at_once))


def test_an_alarm_is_one_message(alarmed: Lab, receiver: Receiver) -> None:
    """Signed with the key, and not sent again the next day."""
    waiting = [each for each in read_alerts(alarmed.folder) if each.level == "alarm"]
    assert deliver(alarmed, receiver.url, KEY) == Sent(n=len(waiting), signed=True)
    assert len(receiver.got) == len(waiting) >= 1
    for headers, body in receiver.got:
        assert headers[SIGNATURE] == "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest()
        assert headers["Content-Type"] == "application/json"
    record = json.loads(receiver.got[0][1])
    assert (record["format"], record["monitor"]) == (1, "support")
    assert record["alarm"]["id"] == waiting[0].id
    assert record["text"].startswith("ALARM support: ")
    alarmed.add(1)
    alarmed.close_day()
    look(alarmed)
    before = len(receiver.got)
    deliver(alarmed, receiver.url, KEY)
    again = {json.loads(body)["alarm"]["id"] for _, body in receiver.got[before:]}
    assert not again & {each.id for each in waiting}


def test_a_message_holds_no_text_of_calls(alarmed: Lab, receiver: Receiver) -> None:
    """Neither question nor answer; ids of calls are there to look them up."""
    deliver(alarmed, receiver.url)
    assert receiver.got
    for headers, body in receiver.got:
        assert SIGNATURE not in headers
        assert b"about cards" not in body
        assert b"an answer" not in body


def test_a_server_in_trouble_is_asked_three_times(alarmed: Lab, receiver: Receiver) -> None:
    """Two failures and an acceptance are one message; three failures leave it for the next time."""
    n = sum(each.level == "alarm" for each in read_alerts(alarmed.folder))
    receiver.statuses = [503, 500]
    assert deliver(alarmed, receiver.url).n == n
    assert len(receiver.got) == n + 2


def test_a_message_that_was_not_accepted_is_sent_next_time(alarmed: Lab, receiver: Receiver) -> None:
    """And the address, which may be a secret, is not shown."""
    n = sum(each.level == "alarm" for each in read_alerts(alarmed.folder))
    receiver.statuses = [503] * 3 * n
    found = deliver(alarmed, receiver.url)
    assert (found.n, len(found.failed), len(receiver.got)) == (0, n, 3 * n)
    assert "127.0.0.1: http_503 (after 3 attempts)" in found.failed[0]
    assert "/hook" not in found.failed[0]
    assert deliver(alarmed, receiver.url).n == n


def test_a_refused_message_is_not_tried_again_at_once(alarmed: Lab, receiver: Receiver) -> None:
    """A redirect could lead elsewhere, and 400 stays 400."""
    n = sum(each.level == "alarm" for each in read_alerts(alarmed.folder))
    receiver.statuses = [302] + [400] * (n - 1)
    assert deliver(alarmed, receiver.url).n == 0
    assert len(receiver.got) == n


def test_nothing_is_sent_while_all_is_quiet(quiet: Lab, receiver: Receiver) -> None:
    """Not even a greeting."""
    look(quiet)
    assert deliver(quiet, receiver.url, KEY) == Sent(signed=True)
    assert receiver.got == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://hooks.example.com/x", "http to hooks.example.com can be read by others; use https"),
        ("http://127.0.0.1.example.com/x", "can be read by others"),
        ("ftp://example.com", "not a URL"),
        ("hooks.example.com", "not a URL"),
        ("https://", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://example.com:port/", "not a URL"),
        ("https://ana:secret@example.com/", "the URL holds a password"),
    ],
)
def test_alarms_go_to_https_or_this_machine_only(url: str, message: str) -> None:
    """Whatever else an address may be."""
    with pytest.raises(InputError, match=message):
        check_webhook(url, {})


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/x", "http://127.0.0.1:9/x", "http://[::1]:9/", "http://localhost/"]
)
def test_these_addresses_are_sound(url: str) -> None:
    """With a key or without."""
    check_webhook(url, {})
    check_webhook(url, KEY)
    with pytest.raises(InputError, match="line breaks"):
        check_webhook(url, {"EVALKIT_WEBHOOK_KEY": "a\nb"})
