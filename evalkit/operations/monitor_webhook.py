"""Report new alarms to a webhook: one message for each alarm, signed, without any text of calls."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from evalkit.errors import InputError, Problem
from evalkit.monitor.alarms import read_alerts, write_alerts
from evalkit.monitor.settings import load_monitor
from evalkit.net.addresses import is_local
from evalkit.net.exchange import HttpRequest, new_session, retried, send
from evalkit.net.keys import key_problem, read_key
from evalkit.net.proxies import find_proxy
from evalkit.net.retry import LOST_REPLY, TURNED_AWAY, ExchangeFailed, RetryPolicy, TimeLeft
from evalkit.report.monitor.status import Alarm
from evalkit.report.monitor.words import alarm_name, alarm_what, alarm_why

if TYPE_CHECKING:
    import aiohttp

KEY_VARIABLE = "EVALKIT_WEBHOOK_KEY"
SIGNATURE = "X-Evalkit-Signature"
"""Header with `sha256=` and the HMAC-SHA256 of the body, in hex digits."""
FORMAT = 1
LIMIT_S = 5.0
RETRIES = 2
_POLICY = RetryPolicy(statuses=TURNED_AWAY | LOST_REPLY, lost_replies=True, retries=RETRIES, jitter_s=0.5)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of the messages.

    Attributes:
        n: Messages that were accepted.
        failed: Why others were not; they are sent again next time.
        signed: Whether they carried a signature.
    """

    n: int = 0
    failed: tuple[str, ...] = ()
    signed: bool = False


def check_webhook(url: str, env: Mapping[str, str]) -> None:
    """Reject an address that would carry alarms in the open, and a key that cannot be used.

    Raises:
        InputError: With the fix.
    """
    problems = []
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or parts.scheme not in ("http", "https"):
        problems.append(Problem("--webhook", "not a URL", "write one that starts with https://"))
    elif parts.scheme == "http" and not is_local(host):
        problems.append(Problem("--webhook", f"http to {host} can be read by others", "use https"))
    elif parts.username or parts.password:
        problems.append(Problem("--webhook", "the URL holds a password", f"sign messages with {KEY_VARIABLE} instead"))
    if read_key(KEY_VARIABLE, env) and (fault := key_problem(KEY_VARIABLE, env)):
        problems.append(Problem("--webhook", *fault))
    if problems:
        raise InputError(problems)


async def send_alarms(
    file: Path,
    url: str,
    env: Mapping[str, str],
    now: float,
    sleep: Callable[[float], Awaitable[None]] | None = None,
) -> Sent:
    """Send every lasting alarm that was not sent, and note in `alerts.json` that it was. Warnings are not sent.

    Args:
        file: File of the monitor.
        url: Address, https or of this machine.
        env: The environment, for the key and proxies.
        now: Seconds since 1970.
        sleep: Waits between attempts.

    Raises:
        InputError: The address or the key cannot be used.
        StoreError: The alerts cannot be written.
    """
    check_webhook(url, env)
    monitor = load_monitor(file)
    alarms = list(read_alerts(monitor.folder))
    waiting = [at for at, each in enumerate(alarms) if each.level == "alarm" and each.ended is None and not each.sent]
    key, failed, n = read_key(KEY_VARIABLE, env), [], 0
    if not waiting:
        return Sent(signed=bool(key))
    time = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    async with new_session(1) as session:
        for at in waiting:
            request = message_of(monitor.name, alarms[at], time, url, key)
            request = replace(request, proxy=find_proxy(url, env))
            try:
                await _deliver(session, request, sleep)
            except ExchangeFailed as failure:
                # The address may be a secret itself.
                failed.append(f"{urlsplit(url).hostname}: {failure.kind}{failure.after}")
                continue
            alarms[at] = replace(alarms[at], sent=time)
            n += 1
            # After each message, so that a kill repeats one at most.
            write_alerts(monitor.folder, alarms)
    return Sent(n=n, failed=tuple(failed), signed=bool(key))


async def _deliver(
    session: aiohttp.ClientSession, request: HttpRequest, sleep: Callable[[float], Awaitable[None]] | None
) -> None:
    left = TimeLeft(LIMIT_S * (RETRIES + 1), "webhook")
    await retried(lambda: send(session, request, _accepted, left, limit_s=LIMIT_S), _POLICY, left, sleep=sleep)


def message_of(monitor: str, alarm: Alarm, time: str, url: str, key: str) -> HttpRequest:
    """Return the message of one alarm; `text` is what chat programs show."""
    text = f"{alarm.level.upper()} {monitor}: {alarm_name(alarm)}: {alarm_what(alarm)}, {alarm_why(alarm)}"
    record = {"format": FORMAT, "monitor": monitor, "time": time, "text": text, "alarm": asdict(alarm)}
    body = json.dumps(record, sort_keys=True, allow_nan=False).encode()
    headers = {"Content-Type": "application/json"}
    if key:
        headers[SIGNATURE] = "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return HttpRequest(url=url, body=body, headers=headers)


async def _accepted(_: object) -> None:
    """Accept any reply with a 2xx status."""
