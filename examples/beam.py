import asyncio

from ets_client import AsyncPolicyClient
from ets_client.search import Beam, Budget, Question, SearchOptions, TreeSearch, search_all

QUESTIONS = [
    Question(problem="Nora reads 6 pages a day. How many pages does she read in 5 days?", answer="30"),
    Question(problem="Leo has 2 boxes with 6 crayons each. How many crayons has he?", answer="12"),
]


async def main() -> None:
    async with AsyncPolicyClient.from_endpoint("policy.json") as client:
        search = TreeSearch(client, Beam(beams=2), options=SearchOptions(width=4, depth=3))
        run = await search_all(search, QUESTIONS, at_once=2, budget=Budget(seconds=600))
    for number, result in run.results.items():
        print(number, result.answer, "is right" if result.is_correct else "is wrong", result.why)


asyncio.run(main())
