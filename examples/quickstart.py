"""Grow two levels of a tree on a policy server: `python examples/quickstart.py [ENDPOINT FILE]`."""

import asyncio
import sys

from ets_client import AsyncPolicyClient


async def main(endpoint: str | None) -> None:
    client = AsyncPolicyClient.from_endpoint(endpoint) if endpoint else AsyncPolicyClient(profile="smollm2")
    async with client:
        root = await client.root("Leo has 2 boxes with 6 crayons each. He loses 3 crayons. How many are left?")
        expansion = await client.expand(root, n=8, logprobs=True)
        for branch in expansion:
            print(f"{branch.end:12} {branch.logprobs.mean if branch.logprobs else 0:6.2f}  {branch.text}")

        best = max(expansion, key=lambda branch: branch.logprobs.mean if branch.logprobs else 0)
        deeper = await client.expand(best.prefix, n=4)
        print(
            f"4 samples after {best.text!r}: {deeper.usage.cached_tokens} prompt tokens were cached,"
        )
        print(f"{deeper.usage.computed_tokens} were computed: the last one of each sample, which SGLang never reuses")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
