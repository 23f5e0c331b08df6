from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ets_client import PolicyClient, Prefix

QUESTIONS = [
    "Nora reads 6 pages a day. How many pages does she read in 5 days?",
    "Leo has 2 boxes with 6 crayons each. How many crayons has he?",
    "A bus has 40 seats, and 13 are taken. How many are free?",
]


def follow_the_longest(client: PolicyClient, question: str, steps: int = 3) -> Prefix:
    prefix = client.root(question)
    for _ in range(steps):
        expansion = client.expand(prefix, n=4)
        open_branches = [branch for branch in expansion if branch.is_open]
        if not open_branches:
            break
        prefix = max(open_branches, key=lambda branch: len(branch.token_ids)).prefix
    return prefix


with PolicyClient.from_endpoint("policy.json") as client, ThreadPoolExecutor(max_workers=64) as pool:
    for path in pool.map(partial(follow_the_longest, client), QUESTIONS):
        print(path.depth, "steps:", path.step_text)
