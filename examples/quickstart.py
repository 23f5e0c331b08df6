import asyncio

from ets_client import AsyncPolicyClient


async def main() -> None:
    async with AsyncPolicyClient.from_endpoint("policy.json") as client:
        root = await client.root("Nora reads 6 pages a day. How many pages does she read in 5 days?")
        expansion = await client.expand(root, n=8)
        for branch in expansion:
            print(branch.end, "|", branch.text)
        deeper = await client.expand(expansion[0].prefix, n=4)
        print(deeper.usage)


asyncio.run(main())
