"""Run the bare loop that a run is measured against: the same calls and the same two comparisons, nothing else.

A case with `turns` is one call for each turn, one after the other.

python benchmarks/bare.py URL CASES CONCURRENCY OUT
"""

import asyncio
import json
import sys

import aiohttp


async def main(url: str, cases: str, concurrency: int, out: str) -> None:
    """Call, compare, and write one line for each case."""
    with open(cases, encoding="utf-8") as lines, open(out, "w", encoding="utf-8") as file:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

            async def worker() -> None:
                for line in lines:
                    case = json.loads(line)
                    for said in [turn["user"] for turn in case["turns"]] if "turns" in case else [case["input"]]:
                        async with session.post(url, json={"input": said}) as response:
                            answer = (await response.json())["answer"]
                    scores = {"exact": answer == case["reference"], "token_f1": case["reference"] in answer}
                    file.write(json.dumps({"id": case["id"], "answer": answer, "scores": scores}) + "\n")

            await asyncio.gather(*[worker() for _ in range(concurrency)])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
