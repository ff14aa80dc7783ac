"""Serve a system under test for benchmarks: answer sums over HTTP after a fixed delay, too cheap to be the bottleneck.

`GET /window` gives the number of calls since it was last asked, and the seconds from the first one to the last reply.

python benchmarks/target.py PORT DELAY_MS
"""

import asyncio
import json
import re
import sys
import time

SUM = re.compile(rb"#(\d+): (\d+) \+ (\d+)")


class Window:
    """The calls of one job, as the target sees them."""

    def __init__(self) -> None:
        self.n_calls = 0
        self.first_s = self.last_s = 0.0

    def asked(self) -> None:
        if not self.n_calls:
            self.first_s = time.perf_counter()
        self.n_calls += 1

    def answered(self) -> None:
        self.last_s = time.perf_counter()

    def taken(self) -> dict[str, float]:
        """Return the window, and open the next one."""
        found = {"calls": self.n_calls, "seconds": self.last_s - self.first_s}
        self.__init__()
        return found


class Target(asyncio.Protocol):
    """Reads requests one after the other from a persistent connection."""

    def __init__(self, delay_s: float, window: Window) -> None:
        self.delay_s, self.window = delay_s, window
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if head.startswith(b"GET /window"):
            self.buffer = b""
            return self.reply(self.window.taken())
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1]) if found else 0
        if found and len(rest) >= length:
            self.buffer = rest[length:]
            self.window.asked()
            asyncio.get_running_loop().call_later(self.delay_s, self.answer, rest[:length])

    def answer(self, body: bytes) -> None:
        number, a, b = map(int, SUM.search(body).groups())
        text = "wrong" if number % 10 == 9 else str(a + b)
        # The second form is for peers that speak the chat protocol.
        self.reply({"answer": text, "choices": [{"message": {"role": "assistant", "content": text}}]})
        self.window.answered()

    def reply(self, value: object) -> None:
        reply = json.dumps(value).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(reply)
        if not self.transport.is_closing():
            self.transport.write(head + reply)


async def main(port: int, delay_ms: float) -> None:
    """Serve until the process is ended."""
    loop, window = asyncio.get_running_loop(), Window()
    server = await loop.create_server(lambda: Target(delay_ms / 1000, window), "127.0.0.1", port, backlog=1024)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
