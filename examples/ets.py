import asyncio

from ets_client import AsyncPolicyClient
from ets_client.search import (
    Ets,
    Question,
    RewardServer,
    RunFolder,
    SearchOptions,
    TreeSearch,
    load_run,
    manifest_of,
    search_all,
)

QUESTIONS = [
    Question(problem="Nora reads 6 pages a day. How many pages does she read in 5 days?", answer="30"),
    Question(problem="Leo has 2 boxes with 6 crayons each. How many crayons has he?", answer="12"),
]


async def main() -> None:
    # Any model can stand in for a reward model, here the policy itself. Yours has a server and an endpoint file of its
    # own (`ets-server up reward --role reward`), and a format that its profile names.
    async with (
        AsyncPolicyClient.from_endpoint("policy.json") as policy,
        AsyncPolicyClient.from_endpoint("policy.json") as reward,
    ):
        scorer = RewardServer(reward, "plus-minus")
        search = TreeSearch(policy, Ets(lambda_c=1.0, lambda_s=1.5), scorer, SearchOptions(width=4, depth=3))
        # Started again after a crash, this goes on with what was paid for.
        async with RunFolder("ets-run").resume(manifest_of(search, QUESTIONS)) as run:
            await search_all(search, QUESTIONS, run=run)
    for number, question in load_run("ets-run").questions.items():
        print(number, question.answer, question.why, len(question.nodes), "nodes")


asyncio.run(main())
