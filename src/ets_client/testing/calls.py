"""``/generate`` calls under way: batches, ``n``, streams, and clients that leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from .chance import mix
from .errors import http_error, stream_error, value_error
from .job import Job
from .request import parse_body, read_request
from .sampling import CrashError, FatalError, RefusedError
from .stops import ends_like_a_stop, queue_abort

if TYPE_CHECKING:
    from collections.abc import Callable

    from .dialect import Dialect
    from .engine import Engine
    from .exchange import Exchange
    from .options import FakeOptions
    from .replies import Replies
    from .request import GenerateRequest, Item
    from .stops import Finish
    from .timing import Clock, Timer
    from .tokenizer import Tokenizer

__all__ = ["Generator"]

_EVENTS = "text/event-stream; charset=utf-8"


class Generator:
    """Answers ``/generate`` and ``/abort_request``.

    Attributes:
        registered: request ids that the HTTP side knows, some of them for ever (``n`` > 1 before 0.5.23).
    """

    def __init__(
        self,
        options: FakeOptions,
        dialect: Dialect,
        tokenizer: Tokenizer,
        engine: Engine,
        clock: Clock,
        replies: Replies,
    ) -> None:
        self.registered: set[str] = set()
        self.options = options
        self.dialect = dialect
        self.engine = engine
        self.clock = clock
        self.replies = replies
        self.tokenizer = tokenizer
        self._made = 0

    def handle(self, exchange: Exchange) -> None:
        """Answer one request.

        Raises:
            RejectedError: it is refused before anything else.
            CrashError: it is a 500.
            FatalError: the server dies of it.
        """
        if self.options.reward_outputs:  # the real one survives it with a max_new_tokens of 0
            raise FatalError("/generate to a model that does not generate")
        content_type = exchange.headers.get(b"content-type", b"").decode("latin-1")
        fields = parse_body(exchange.body, content_type, self.dialect)
        is_stream = bool(fields.get("stream"))
        try:
            request = read_request(fields, self.options, self.dialect, self.tokenizer)
            self._check_new(request)
        except RefusedError as error:
            if is_stream:
                exchange.start(_EVENTS)
                exchange.write(b"data: %s\n\n" % stream_error(str(error)))
                exchange.write(b"data: [DONE]\n\n")
                exchange.end()
            else:
                exchange.reply(400, value_error(str(error)))
            return
        except CrashError:
            if not is_stream:
                raise
            exchange.start(_EVENTS)
            exchange.break_off()
            return
        if not request.items:
            exchange.reply(200, b"[]")
            return
        _Call(self, exchange, request).start()

    def abort(self, rid: str, *, everything: bool) -> None:
        """Stop what the scheduler has under an id that is registered, and under all ids that begin with it."""
        if everything or rid in self.registered:
            self.engine.scheduler.abort(rid, everything=everything)

    def new_rid(self) -> str:
        """An id that was never used."""
        self._made += 1
        return f"{mix(self.options.seed, self._made):016x}{mix(self._made, self.options.seed):016x}"

    def _check_new(self, request: GenerateRequest) -> None:
        for rid in request.rids or ():
            if rid in self.registered:
                raise RefusedError(f"Duplicate request ID detected: {rid}")


class _Call:
    """One request."""

    def __init__(self, home: Generator, exchange: Exchange, request: GenerateRequest) -> None:
        self._home = home
        self._exchange = exchange
        self._request = request
        self._jobs: list[Job] = []
        self._left = 0
        self._is_over = False
        self._warm: Job | None = None
        self._rids = request.rids or [home.new_rid() for _ in request.items]
        self._told: dict[Job, tuple[int, str]] = {}
        self._poll_timer: Timer | None = None
        self._started = home.clock.now()

    @property
    def _is_many(self) -> bool:
        return self._request.samples > 1

    def start(self) -> None:
        home, request = self._home, self._request
        home.registered.update(self._rids)
        self._exchange.on_disconnect = self._leave
        if request.is_stream:
            self._exchange.start(_EVENTS)
        if self._is_many:
            self._warm_up(0)
            return
        self._send([self._job(item, rid) for item, rid in zip(request.items, self._rids, strict=True)])

    def _job(
        self, item: Item, rid: str, on_update: Callable[[Job], None] | None = None, most: int | None = None
    ) -> Job:
        return Job(
            rid=rid,
            prompt=item.prompt,
            sampling=item.sampling,
            most=item.most if most is None else most,
            on_update=on_update or self._update,
            namespace=item.namespace,
            logprobs=item.logprobs,
            names_label_ids=self._request.names_label_ids,
            stream=self._request.is_stream and on_update is None,
        )

    # -- n > 1: SGLang computes each prompt once in a request that nobody sees, one after the other ---------------

    def _warm_up(self, place: int) -> None:
        items = self._request.items
        if place == len(items):
            jobs = [self._job(item, self._home.new_rid()) for item in items for _ in range(self._request.samples)]
            self._home.registered.update(job.rid for job in jobs)
            # One id for each prompt is given back; before 0.5.23 the others stay, unless they came as a list.
            leaks = self._home.dialect.leaks_rids and not self._request.are_rids_listed
            self._home.registered.difference_update(self._rids)
            if leaks:
                spare = self._rids[len(items) :] or [
                    self._home.new_rid() for _ in range(len(items) * (self._request.samples - 1))
                ]
                self._home.registered.update(spare)
            self._send(jobs)
            return

        def then(job: Job) -> None:
            self._home.registered.discard(job.rid)
            self._warm = None
            if self._is_over or (job.finish is not None and job.finish.status is not None):
                self._home.registered.difference_update(self._rids)
            if self._is_over:
                return
            if job.finish is not None and job.finish.status is not None:
                self._fail(job.finish)
            else:
                self._warm_up(place + 1)

        self._warm = self._job(items[place], self._home.new_rid(), then, 0)
        self._home.registered.add(self._warm.rid)
        self._submit([(self._warm, items[place].refusal)])

    # -- samples --------------------------------------------------------------------------------------------------

    def _send(self, jobs: list[Job]) -> None:
        self._jobs, self._left = jobs, len(jobs)
        samples = self._request.samples
        self._submit([(job, self._request.items[place // samples].refusal) for place, job in enumerate(jobs)])

    def _submit(self, jobs: list[tuple[Job, str | None]]) -> None:
        accepted: list[Job] = []
        for job, refusal in jobs:
            if refusal is None:
                accepted.append(job)
                continue
            job.submitted = self._home.clock.now()
            job.finish = queue_abort(refusal, 400)
            job.on_update(job)
        self._home.engine.submit(accepted)

    def _update(self, job: Job) -> None:
        if job.finish is not None:
            self._home.registered.discard(job.rid)
            self._left -= 1
        if self._is_over:
            return
        if self._request.is_stream:
            self._tell(job)
        elif job.finish is not None:
            if self._fails(job.finish):
                self._fail(job.finish)
            elif self._left == 0:
                self._finish()

    def _fails(self, finish: Finish) -> bool:
        status = finish.status
        return status is not None and (status in {400, 500, 503} or self._home.dialect.converts_any_abort)

    def _finish(self) -> None:
        self._is_over = True
        now, shows = self._home.clock.now(), self._request.shows_prompt
        bodies = [self._home.replies.of(job, now, shows_prompt=shows) for job in self._jobs]
        body: Any = bodies[0] if self._request.is_single else bodies
        self._exchange.reply(200, to_json(body, inf_nan_mode="null"))

    def _fail(self, finish: Finish) -> None:
        self._is_over = True
        if self._request.is_stream:
            self._exchange.break_off()
        elif finish.status == 400:
            self._exchange.reply(400, value_error(finish.message))
        else:
            self._exchange.reply(finish.status or 500, http_error(finish.status or 500, finish.message))
        if self._home.dialect.sibling_stop:
            self._stop(self._jobs)

    # -- streams --------------------------------------------------------------------------------------------------

    def _tell(self, job: Job) -> None:
        home, options = self._home, self._home.options
        if job.finish is None:
            interval = job.sampling.stream_interval or options.stream_interval
            if (len(job.output) - 1) % interval or ends_like_a_stop(job.output, job.sampling, home.tokenizer):
                return
        is_first = job not in self._told
        start, told = self._told.get(job, (0, ""))
        if not options.incremental_streaming_output:
            start, told = 0, ""
        elif job.finish is not None and not home.replies.text(job).startswith(told):
            told = home.replies.text(job)  # a stop was cut that had gone out already: nothing is left to say
        now, shows = home.clock.now(), self._request.shows_prompt
        body = home.replies.of(job, now, shows_prompt=shows, start=start, told=told, is_first=is_first)
        self._told[job] = len(job.output), home.replies.text(job)
        if not self._request.is_single:
            body["index"] = self._jobs.index(job)
        self._exchange.write(b"data: %s\n\n" % to_json(body, inf_nan_mode="null"))
        if self._left == 0:
            self._is_over = True
            self._exchange.write(b"data: [DONE]\n\n")
            self._exchange.end()

    # -- clients that leave ---------------------------------------------------------------------------------------

    def _leave(self) -> None:
        if self._is_over:
            return
        dialect, home = self._home.dialect, self._home
        if not self._request.is_stream:
            if not self._request.is_background:
                self._poll_later()
            return
        manner = dialect.many_stream_close if self._is_many else dialect.stream_close
        if manner == "now":
            self._is_over = True
            self._stop(self._jobs)
        elif manner == "later":
            home.clock.call_later(home.options.stream_abort_seconds, lambda: self._stop(self._jobs))

    def _poll_later(self) -> None:
        every = self._home.options.disconnect_poll_seconds
        passed = (self._home.clock.now() - self._started) % every
        self._poll_timer = self._home.clock.call_later(every - passed, self._notice)

    def _notice(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._warm is not None:
            self._stop([self._warm])
        unfinished = [job for job in self._jobs if job.finish is None]
        self._stop(unfinished[:1] if self._home.dialect.batch_close == "first" else unfinished)

    def _stop(self, jobs: list[Job]) -> None:
        for job in jobs:
            if job.finish is None:
                self._home.engine.scheduler.abort(job.rid)
