import asyncio

from ets_client import AsyncPolicyClient
from ets_client.search import Node, SearchTree, find_answer, weighted_vote


def score_of(node: Node) -> float:
    return 0.0 if node.score is None else node.score


async def best_first(client: AsyncPolicyClient, question: str, expands: int) -> str | None:
    pattern = client.profile.answer.pattern if client.profile.answer is not None else "(.*)"
    async with client.tree(question, timeout=300) as calls:  # leaving it stops whatever still runs
        tree = SearchTree(await calls.root(question))
        for _ in range(expands):
            leaves = [node for node in tree if node.is_open and not node.children]
            if not leaves:
                break
            best = max(leaves, key=score_of)
            for branch in await calls.expand(best.prefix, n=3, logprobs=True):
                mean = branch.logprobs.mean if branch.logprobs is not None else None
                tree.add(best, branch, mean, find_answer(pattern, branch.text))
    return weighted_vote((node.answer or "", 2 ** score_of(node)) for node in tree.answered())


async def main() -> None:
    async with AsyncPolicyClient.from_endpoint("policy.json") as client:
        print(await best_first(client, "Leo has 2 boxes with 6 crayons each. How many crayons has he?", expands=5))


asyncio.run(main())
