"""A system under test in a process of its own, over real HTTP: it notes each request before and after it answers.

python journalling_system.py LOG DELAY_S
"""

import asyncio
import json
import os
import random
import re
import sys


class Answering(asyncio.Protocol):
    """Adds two numbers, one request after the other on each connection."""

    def __init__(self, log: int, delay_s: float) -> None:
        self.log, self.delay_s, self.buffer = log, delay_s, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Note a whole request, and answer it later."""
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1]) if found else 0
        if not found or len(rest) < length:
            return
        self.buffer = rest[length:]
        question = json.loads(rest[:length])["input"]
        os.write(self.log, f"asked {question}\n".encode())
        # Times differ, so that cases end in another order each time.
        asyncio.get_running_loop().call_later(self.delay_s * random.uniform(0.2, 1.8), self.answer, question)

    def answer(self, question: str) -> None:
        """Send the sum; every tenth is wrong, every seventeenth is refused."""
        a, b = map(int, question.split("+"))
        status = b"500 down" if a % 17 == 16 else b"200 OK"
        body = json.dumps({"answer": str(a + b + (a % 10 == 9))}).encode()
        head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
        if not self.transport.is_closing():
            self.transport.write(head + body)  # type: ignore[attr-defined]


async def main(log: str, delay_s: float) -> None:
    """Serve until the process is ended."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(fd, delay_s), "127.0.0.1", 0, backlog=1024)
    os.write(1, f"{server.sockets[0].getsockname()[1]}\n".encode())
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
