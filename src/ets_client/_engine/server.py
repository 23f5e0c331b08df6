"""What all calls to one server share."""

from __future__ import annotations

import asyncio
import logging
from types import MappingProxyType
from typing import TYPE_CHECKING

from .._core.budget import RetryBudget
from .._core.pace import Pace
from .._transport.base import HttpRequest, TransportError
from .._wire.admin import read_model_info
from .._wire.broken import BrokenReplyError
from ..errors import ConfigurationError, ServerBusyError, ServerUnreachableError
from ..events import ServerStateChanged
from ..stats import ClientStats, ServerState
from .aborter import Aborter, Live
from .counters import Counters
from .failure import error_after
from .gate import Gate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from pydantic import SecretStr

    from .._transport.base import Transport
    from ..errors import Attempt, RequestError
    from ..events import ClientEvent, Observer
    from ..retry import RetryPolicy
    from .address import Address
    from .admitter import Admitter
    from .dispatcher import Dispatcher
    from .gate import GateClosedError

__all__ = ["Server"]

_log = logging.getLogger("ets_client")
_PROBE_SECONDS = 5.0
_QUIET_SECONDS = 60.0  # between warnings that it is full, which it may be again and again


class Server:
    """One server as the engine knows it: its address, its state, its speed, and what may be asked of it in all.

    Attributes:
        transport: how bytes travel.
        address: where it is.
        policy: how often a call is tried.
        jitter: random numbers in [0, 1).
        sleep: waits between tries.
        counters: what was done so far.
        budget: resends that all calls share.
        pace: how long attempts take.
        aborter: stops samples.
        gate: where calls wait while it is gone or full.
        is_closed: whether the client has ended.
        on_refused: called whenever it was full.
    """

    def __init__(
        self,
        transport: Transport,
        address: Address,
        policy: RetryPolicy,
        *,
        jitter: Callable[[], float],
        admin_key: SecretStr | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_gone: Callable[[], None],
        observer: Observer | None = None,
    ) -> None:
        """Know nothing of it yet.

        Args:
            transport: how bytes travel.
            address: where it is.
            policy: how often a call is tried.
            jitter: random numbers in [0, 1).
            admin_key: for aborts and flushes, where the server has one besides the address's.
            sleep: waits between tries.
            on_gone: called whenever the server turns out to be gone: its cache is lost.
            observer: told what happens.
        """
        self.transport = transport
        self.address = address
        self.policy = policy
        self.jitter = jitter
        self.sleep = sleep
        self.counters = Counters()
        self.budget = RetryBudget()
        self.pace = Pace(policy.least_attempt)
        self.aborter = Aborter(transport, self.counters, self.tell)
        self.gate = Gate(
            self._probe, patience=policy.patience, jitter=jitter, sleep=sleep, on_change=self._state_changed
        )
        self.is_closed = False
        self.on_refused: Callable[[], None] | None = None
        self._admin_key = admin_key
        self._on_gone = on_gone
        self._observer = observer
        self._model: str | None = None
        self._since = 0.0
        self._warned_at = float("-inf")
        self._written: dict[bool, tuple[SecretStr | None, Mapping[str, str]]] = {}

    def headers(self, *, is_admin: bool = False) -> Mapping[str, str]:
        """Headers of a request, the key included: the same object as long as the key is the same.

        Args:
            is_admin: whether a server with an admin key wants that one.
        """
        key = self._admin_key if is_admin and self._admin_key is not None else self.address.api_key
        written = self._written.get(is_admin)
        if written is None or written[0] is not key:
            headers = {"Content-Type": "application/json"}
            if key is not None:
                headers["Authorization"] = f"Bearer {key.get_secret_value()}"
            written = self._written[is_admin] = key, MappingProxyType(headers)
        return written[1]

    def live(self, rids: tuple[str, ...]) -> Live:
        """Samples that go where the server is now."""
        return Live(self.address.base_url, self.headers(is_admin=True), rids)

    def check_open(self) -> None:
        """Check that the client has not ended.

        Raises:
            ConfigurationError: it has.
        """
        if self.is_closed:
            raise ConfigurationError("this client is closed: make a new one")

    def expect_model(self, model_path: str) -> None:
        """Say what it serves, so that another model after an outage is noticed: its ids would be other texts."""
        self._model = model_path

    def lost(self) -> None:
        """A connection failed or broke, or a reply never came. A server that never answered is not waited for."""
        if self.gate.has_answered:
            self.gate.lost()

    def refused(self) -> None:
        """It turned a request away because it was full."""
        self.gate.refused()
        if self.on_refused is not None:
            self.on_refused()

    def tell(self, event: ClientEvent) -> None:
        """Tell the observer; one that fails is told no more."""
        if self._observer is None:
            return
        try:
            self._observer(event)
        except Exception:  # noqa: BLE001 - a user's function must not break a call
            self._observer = None
            _log.exception("the observer failed and is told no more")

    def not_available(self, closed: GateClosedError, attempts: Sequence[Attempt]) -> RequestError:
        """The error of a call that waited for the server in vain.

        Args:
            closed: what the gate said.
            attempts: the call's tries.
        """
        is_full = closed.state is ServerState.FULL
        what = f"has been {'full' if is_full else 'gone'} for {closed.seconds:g} s (RetryPolicy.patience)"
        if attempts:
            what += f"; the last try: {attempts[-1].outcome}"
        kind: type[RequestError] = ServerBusyError if is_full else ServerUnreachableError
        return error_after(kind, f"{self.address.base_url} {what}", attempts)

    def stats(self, admitter: Admitter | None, dispatcher: Dispatcher | None) -> ClientStats:
        """What was done so far, and what is known now.

        Args:
            admitter: who gives expands their turn, if anybody.
            dispatcher: who lets them leave together, if anybody.
        """
        counters, wires = self.counters, self.transport.stats()
        return ClientStats(
            server=self.gate.state,
            calls=counters.calls,
            in_flight=counters.in_flight,
            samples_in_flight=counters.samples,
            waiting=self.gate.waiting,
            waiting_for_turn=admitter.waiting if admitter is not None else 0,
            admission_limit=admitter.limit if admitter is not None else None,
            failures=dict(counters.failures),
            resends=counters.resends,
            retry_budget=self.budget.tokens,
            aborts=counters.aborts,
            connections_busy=wires.busy,
            connections_idle=wires.idle,
            connections_waited_for=wires.waiting,
            connections_opened=wires.opened,
            requests=wires.requests,
            sent_bytes=wires.sent_bytes,
            received_bytes=wires.received_bytes,
            predicted_reuse=counters.predicted,
            reuse_shortfall=counters.shortfall,
            waiting_for_departure=dispatcher.waiting if dispatcher is not None else 0,
        )

    async def _probe(self) -> bool:
        """Ask something cheap that every SGLang answers at once. A router has no such path: any answer of it will do.

        Raises:
            ConfigurationError: another model is served there now.
        """
        await self.address.refresh()
        url = f"{self.address.base_url}/model_info"
        request = HttpRequest("GET", url, self.headers(), lane="control", is_fresh=True)
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                reply = await self.transport.send(request)
        except (TransportError, TimeoutError):
            if not self.gate.was_gone:
                _log.warning(
                    "%s is gone: calls wait until it is back, %g s at most", self.address.base_url, self.policy.patience
                )
            self._on_gone()
            return False
        if reply.status == 200 and self._model is not None:
            self._check_model(reply.body)
        return reply.status < 500

    def _check_model(self, body: bytes) -> None:
        try:
            found = read_model_info(body).model_path
        except BrokenReplyError:
            return
        if found != self._model:
            raise ConfigurationError(
                f"{self.address.base_url} now serves {found} instead of {self._model}: make a new client for it"
            )

    def _state_changed(self, state: ServerState) -> None:
        now = asyncio.get_running_loop().time()
        lasted, self._since = now - self._since if self._since else 0.0, now
        base = self.address.base_url
        if state is ServerState.DOWN:
            _log.info("%s does not answer or broke off: asking whether it is there", base)
        elif state is ServerState.FULL:
            is_news = now - self._warned_at > _QUIET_SECONDS
            self._warned_at = now if is_news else self._warned_at
            level = logging.WARNING if is_news else logging.INFO
            _log.log(level, "%s is full: calls wait for room, %g s at most", base, self.policy.patience)
        else:
            _log.info("%s takes requests again after %.1f s", base, lasted)
        self.tell(ServerStateChanged(base, state, lasted))
