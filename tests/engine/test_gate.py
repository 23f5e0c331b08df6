from __future__ import annotations

import asyncio

import pytest

from ets_client import ConfigurationError, ServerState
from ets_client._engine.gate import Gate, GateClosedError
from tests.fakes import Naps, eventually


class Probe:
    """Answers by a list, then yes."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self) -> bool:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answers.pop(0) if self.answers else True


def gate_of(probe: Probe, naps: Naps | None = None, patience: float = 60.0) -> tuple[Gate, list[ServerState]]:
    states: list[ServerState] = []
    gate = Gate(probe, patience=patience, jitter=lambda: 0.0, sleep=naps or Naps(), on_change=states.append)
    return gate, states


async def test_an_open_gate_lets_everybody_pass_without_a_question() -> None:
    probe = Probe()
    gate, states = gate_of(probe)
    await gate.enter()
    assert (gate.is_open, probe.asked, states) == (True, 0, [])


async def test_one_probe_asks_for_all_that_wait() -> None:
    probe = Probe(False, False)
    gate, states = gate_of(probe)
    gate.lost()
    await asyncio.gather(*(gate.enter() for _ in range(100)))
    assert (probe.asked, gate.outages) == (3, 1)
    assert states == [ServerState.DOWN, ServerState.UP]


async def test_a_server_that_answers_the_first_probe_was_never_gone() -> None:
    gate, _ = gate_of(Probe())
    gate.lost()
    await gate.enter()
    assert gate.outages == 0


async def test_nobody_asks_when_nobody_waits() -> None:
    naps = Naps()
    naps.end = asyncio.Event()
    probe = Probe(False, False, False)
    gate, _ = gate_of(probe, naps)
    gate.lost()
    waiter = asyncio.create_task(gate.enter())
    await eventually(lambda: len(naps.seconds) == 1)
    waiter.cancel()
    await asyncio.wait([waiter])
    naps.end.set()
    await eventually(lambda: gate._watch is not None and gate._watch.done())
    assert (probe.asked, gate.state, gate.waiting) == (2, ServerState.DOWN, 0)
    await gate.enter()  # asks again, at once
    assert gate.is_open


async def test_waits_between_probes_are_spread() -> None:
    naps = Naps()
    gate, _ = gate_of(Probe(*[False] * 6), naps)
    gate.lost()
    await gate.enter()
    assert naps.seconds == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]


async def test_when_those_that_waited_for_room_are_gone_the_gate_is_open() -> None:
    naps = Naps()
    naps.end = asyncio.Event()
    gate, states = gate_of(Probe(), naps)
    gate.refused()
    waiter = asyncio.create_task(gate.enter())
    await eventually(lambda: len(naps.seconds) == 1)
    waiter.cancel()
    await asyncio.wait([waiter])
    naps.end.set()
    await eventually(lambda: gate.is_open)
    assert states == [ServerState.FULL, ServerState.UP]


async def test_a_success_passes_over_those_that_are_gone() -> None:
    naps = Naps()
    naps.end = asyncio.Event()
    gate, _ = gate_of(Probe(), naps)
    gate.refused()
    first, second = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
    await eventually(lambda: gate.waiting == 2 and len(naps.seconds) == 1)  # it looks for the gone no more
    first.cancel()
    await asyncio.wait([first])
    gate.succeeded()
    await second
    await gate.aclose()


async def test_patience_has_an_end_that_names_the_state() -> None:
    gate, _ = gate_of(Probe(*[False] * 9), patience=0)
    gate.lost()
    with pytest.raises(GateClosedError) as caught:
        await gate.enter()
    assert (caught.value.state, caught.value.seconds) == (ServerState.DOWN, 0)
    await gate.aclose()


async def test_closing_leaves_no_task_and_nobody_waiting() -> None:
    naps = Naps()
    naps.end = asyncio.Event()
    gate, _ = gate_of(Probe(*[False] * 9), naps)
    gate.lost()
    waiter = asyncio.create_task(gate.enter())
    await eventually(lambda: len(naps.seconds) == 1)
    await gate.aclose()
    await asyncio.wait([waiter])
    assert isinstance(waiter.exception(), ConfigurationError)
    with pytest.raises(ConfigurationError):
        await gate.enter()
    assert asyncio.all_tasks() == {asyncio.current_task()}
