"""Serve a system under test for benchmarks: answer sums over HTTP after a fixed delay, too cheap to be the bottleneck.

python benchmarks/target.py PORT DELAY_MS
"""

import asyncio
import json
import re
import sys

SUM = re.compile(rb"#(\d+): (\d+) \+ (\d+)")


class Target(asyncio.Protocol):
    """Reads requests one after the other from a persistent connection."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1]) if found else 0
        if found and len(rest) >= length:
            self.buffer = rest[length:]
            asyncio.get_running_loop().call_later(self.delay_s, self.answer, rest[:length])

    def answer(self, body: bytes) -> None:
        number, a, b = map(int, SUM.search(body).groups())
        text = "wrong" if number % 10 == 9 else str(a + b)
        # The second form is for peers that speak the chat protocol.
        reply = json.dumps({"answer": text, "choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(reply)
        if not self.transport.is_closing():
            self.transport.write(head + reply)


async def main(port: int, delay_ms: float) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Target(delay_ms / 1000), "127.0.0.1", port, backlog=1024)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
