"""All endpoints but ``/generate``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pydantic_core import to_json

from .body import fields_of
from .classify import Classifier
from .draw import LogProbabilities
from .errors import RejectedError, http_error, invalid, plain_error
from .info import SECTIONS, load_of, loads, metrics_text, model_info, models, prometheus_loads, server_info
from .job import Job
from .sampling import CrashError, Sampling
from .shapes import is_list

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .calls import Generator
    from .exchange import Exchange
    from .model import TextModel

__all__ = ["Admin", "unauthorized"]

_FLUSHED = (
    "Cache flushed.\nPlease check backend logs for more details. "
    "(When there are running or waiting requests, the operation will not be performed.)\n"
)
_NO_TEMPLATE = (
    "Cannot use chat template functions because tokenizer.chat_template is not set and no template argument was passed!"
)
_NO_VERSION = "Endpoint '/get_weight_version' or '/weight_version' is deprecated. Please use '/model_info' instead."
_PLAIN = "text/plain; charset=utf-8"


class Admin:
    """Answers by path and method."""

    def __init__(
        self,
        generator: Generator,
        model: TextModel,
        http: Mapping[tuple[str, str, int], int],
        port: Callable[[], int],
        is_draining: Callable[[], bool],
    ) -> None:
        self._generator = generator
        self._options = generator.options
        self._scheduler = generator.engine.scheduler
        self._model = model
        self._http = http
        self._port = port
        self._is_draining = is_draining
        self._aborts = 0
        dialect = generator.dialect
        classify = Classifier(generator).handle
        self.routes: dict[str, dict[str, Callable[[Exchange], None]]] = {
            "/health": {"GET": self._health},
            "/health_generate": {"GET": self._health},
            "/ping": {"GET": self._ping},
            "/server_info": {"GET": self._server_info},
            "/get_server_info": {"GET": self._server_info},
            "/model_info": {"GET": self._model_info},
            "/get_model_info": {"GET": self._model_info},
            "/v1/models": {"GET": self._models},
            "/v1/loads": {"GET": self._loads},
            "/flush_cache": {"GET": self._flush, "POST": self._flush},
            "/abort_request": {"POST": self._abort},
            "/pause_generation": {"POST": self._pause},
            "/continue_generation": {"POST": self._continue},
            "/tokenize": {"POST": self._tokenize},
            "/v1/tokenize": {"POST": self._tokenize},
            "/detokenize": {"POST": self._detokenize},
            "/v1/detokenize": {"POST": self._detokenize},
            "/encode": {"POST": classify, "PUT": classify},
            "/classify": {"POST": classify, "PUT": classify},
            "/v1/score": {"POST": self._score},
        }
        if self._options.enable_metrics:
            self.routes["/metrics"] = self.routes["/metrics/"] = {"GET": self._metrics}
        if dialect.has_ready:
            self.routes["/ready"] = {"GET": self._ready}
        else:
            self.routes["/weight_version"] = self.routes["/get_weight_version"] = {"GET": self._weight_version}
        if dialect.has_get_load:
            self.routes["/get_load"] = {"GET": self._get_load}

    # -- health ---------------------------------------------------------------------------------------------------

    def _health(self, exchange: Exchange) -> None:
        if self._is_draining():
            exchange.reply(503, content_type=None)
            return
        # One token of a sample of its own, and a look at the result a second later, or never while nothing runs.
        probe = Job("HEALTH_CHECK_" + self._generator.new_rid(), [0], Sampling(), 1, lambda _: None)
        self._generator.engine.submit([probe])
        clock, seconds = self._generator.clock, self._options.health_seconds

        def look(tries: int = 20) -> None:
            if probe.finish is not None or self._scheduler.running:
                exchange.reply(200, content_type=None)
            elif tries and not exchange.is_gone:
                clock.call_later(max(seconds, 0.001), lambda: look(tries - 1))
            else:
                exchange.reply(503, content_type=None)

        clock.call_later(seconds, look)

    def _ready(self, exchange: Exchange) -> None:
        is_ready = not self._is_draining() and not self._scheduler.is_paused
        exchange.reply(200 if is_ready else 503, content_type=None)

    def _ping(self, exchange: Exchange) -> None:
        is_bad = self._generator.dialect.ping_tells_state and self._is_draining()
        exchange.reply(503 if is_bad else 200, content_type=None)

    # -- facts ----------------------------------------------------------------------------------------------------

    def _server_info(self, exchange: Exchange) -> None:
        exchange.reply(200, to_json(server_info(self._options, port=self._port())))

    def _model_info(self, exchange: Exchange) -> None:
        exchange.reply(200, to_json(model_info(self._options)))

    def _models(self, exchange: Exchange) -> None:
        exchange.reply(200, to_json(models(self._options)))

    def _weight_version(self, exchange: Exchange) -> None:
        exchange.reply(404, http_error(404, _NO_VERSION))

    def _loads(self, exchange: Exchange) -> None:
        query = parse_qs(exchange.query)
        sections = frozenset(part for given in query.get("include", ()) for part in given.split(",") if part)
        if sections - SECTIONS:
            raise CrashError(f"include = {sorted(sections)}")
        entries = [load_of(self._options, self._scheduler, self._generator.clock.now(), sections)]
        if query.get("dp_rank", ["0"]) != ["0"]:
            entries = []
        if query.get("format") == ["prometheus"]:
            exchange.reply(200, prometheus_loads(entries).encode(), "text/plain; version=0.0.4; charset=utf-8")
        else:
            exchange.reply(200, to_json(loads(self._options, entries)))

    def _get_load(self, exchange: Exchange) -> None:
        waiting, running = self._scheduler.waiting, self._scheduler.running
        entry = {
            "dp_rank": 0,
            "num_reqs": len(running) + len(waiting),
            "num_waiting_reqs": len(waiting),
            "num_tokens": self._scheduler.used_tokens,
            "num_pending_tokens": sum(len(job.prompt) for job in waiting),
            "ts_tic": self._generator.clock.now(),
        }
        exchange.reply(200, to_json([entry]))

    def _metrics(self, exchange: Exchange) -> None:
        text = metrics_text(self._options, self._scheduler, self._http, self._aborts)
        exchange.reply(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    # -- control --------------------------------------------------------------------------------------------------

    def _flush(self, exchange: Exchange) -> None:
        def answer(*, is_done: bool) -> None:
            body = _FLUSHED if is_done else "Flush cache failed.\n"
            exchange.reply(200 if is_done else 400, body.encode(), None)

        if self._scheduler.flush():
            answer(is_done=True)
            return
        try:
            seconds = float(parse_qs(exchange.query).get("timeout", ["0"])[0])
        except ValueError:
            raise invalid("float_parsing", ("query", "timeout"), "Input should be a valid number", exchange.query,
                          "POST /flush_cache") from None  # fmt: skip
        if seconds <= 0:
            answer(is_done=False)
            return
        is_over = False

        def settle(*, in_time: bool) -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                answer(is_done=in_time and self._scheduler.flush())

        self._generator.clock.call_later(seconds, lambda: settle(in_time=False))
        self._generator.engine.when_idle(lambda: settle(in_time=True))

    def _abort(self, exchange: Exchange) -> None:
        fields = fields_of(exchange, "POST /abort_request")
        rid, everything = fields.get("rid", ""), fields.get("abort_all", False)
        if not isinstance(rid, str):
            raise invalid("string_type", ("body", "rid"), "Input should be a valid string", rid, "POST /abort_request")
        if everything or rid in self._generator.registered:
            self._aborts += 1
        if everything or rid:
            self._generator.abort(rid, everything=bool(everything))
        exchange.reply(200, content_type=None)

    def _pause(self, exchange: Exchange) -> None:
        mode = fields_of(exchange, "POST /pause_generation").get("mode", "abort")
        engine = self._generator.engine

        def answer() -> None:
            self._scheduler.is_paused = True
            exchange.reply(200, to_json({"message": "Generation paused successfully.", "status": "ok"}))

        if mode == "abort" and not self._scheduler.is_idle:
            self._scheduler.abort("", everything=True)
            engine.when_idle(answer)
        else:
            answer()

    def _continue(self, exchange: Exchange) -> None:
        self._scheduler.is_paused = False
        self._generator.engine.wake()
        exchange.reply(200, to_json({"message": "Generation continued successfully.", "status": "ok"}))

    # -- text -----------------------------------------------------------------------------------------------------

    def _tokenize(self, exchange: Exchange) -> None:
        fields = fields_of(exchange, "POST /tokenize", needs_json=True)
        prompt, messages = fields.get("prompt"), fields.get("messages")
        tokenizer, special = self._generator.tokenizer, bool(fields.get("add_special_tokens", True))
        if (prompt is None) == (messages is None):
            message = "Value error, Exactly one of 'prompt' or 'messages' must be provided."
            raise invalid("value_error", ("body",), message, fields, "POST /tokenize")
        found: Any
        if messages is not None:
            text = self._render(messages, fields)
            found = tokenizer.encode(text, add_special_tokens=False)
        elif isinstance(prompt, str):
            found = tokenizer.encode(prompt, add_special_tokens=special)
        elif is_list(prompt) and all(isinstance(each, str) for each in prompt):
            found = [tokenizer.encode(each, add_special_tokens=special) for each in prompt]
        else:
            raise invalid("string_type", ("body", "prompt", "str"), "Input should be a valid string", prompt,
                          "POST /tokenize")  # fmt: skip
        count = [len(ids) for ids in found] if is_list(prompt) else len(found)
        body = {"tokens": found, "count": count, "max_model_len": self._options.context_length}
        exchange.reply(200, to_json(body))

    def _render(self, messages: object, fields: dict[str, Any]) -> str:
        if not self._options.has_chat_template:
            raise RejectedError(400, http_error(400, _NO_TEMPLATE, "BadRequestError"))
        if not is_list(messages) or not messages:
            raise RejectedError(400, http_error(400, "Messages cannot be empty.", "BadRequestError"))
        listed: list[dict[str, Any]] = messages
        is_open = bool(fields.get("continue_final_message")) and listed[-1].get("role") == "assistant"
        parts: list[str] = []
        for place, message in enumerate(listed):
            role, content = message.get("role"), message.get("content")
            if not isinstance(role, str) or not isinstance(content, str):
                raise invalid("missing", ("body", "messages", place), "Field required", message, "POST /tokenize")
            end = "" if is_open and place == len(listed) - 1 else "<|im_end|>\n"
            parts.append(f"<|im_start|>{role}\n{content}{end}")
        return "".join(parts) + ("" if is_open else "<|im_start|>assistant\n")

    def _detokenize(self, exchange: Exchange) -> None:
        fields = fields_of(exchange, "POST /detokenize", needs_json=True)
        tokens: Any = fields.get("tokens")
        skips, tokenizer = bool(fields.get("skip_special_tokens", True)), self._generator.tokenizer
        is_nested = is_list(tokens) and bool(tokens) and is_list(tokens[0])
        rows = tokens if is_nested else [tokens]
        for row in rows:
            if not is_list(row) or set(map(type, row)) - {int}:
                message = "Input should be a valid list"
                raise invalid("list_type", ("body", "tokens", "list[int]"), message, tokens, "POST /detokenize")
        texts = [tokenizer.decode(row, skip_special_tokens=skips) for row in rows]
        exchange.reply(200, to_json({"text": texts if is_nested else texts[0]}))

    def _score(self, exchange: Exchange) -> None:
        fields = fields_of(exchange, "POST /v1/score", needs_json=True)
        labels: Any = fields.get("label_token_ids")
        tokenizer = self._generator.tokenizer
        if not labels:
            message = "label_token_ids is required for generation (CausalLM) models."
            raise RejectedError(400, http_error(400, message, "BadRequestError"))
        for token in labels:
            if not 0 <= token < tokenizer.vocab_size:
                message = f"Token ID {token} is out of vocabulary (vocab size: {tokenizer.vocab_size})"
                raise RejectedError(400, http_error(400, message, "BadRequestError"))

        def ids(given: Any) -> list[int]:
            return tokenizer.encode(given) if isinstance(given, str) else list(given)

        query: Any = fields.get("query") or ""
        items: Any = fields.get("items") or []
        listed: list[Any] = [items] if isinstance(items, str) else items
        is_item_first = bool(fields.get("item_first"))
        prompts = [ids(item) + ids(query) if is_item_first else ids(query) + ids(item) for item in listed]
        scores: list[list[float]] = []
        for prompt in prompts:
            values = LogProbabilities(self._model.read(prompt, len(prompt)), 1.0, tokenizer.vocab_size)
            row = [math.exp(values.of(token)) for token in labels]
            scores.append([value / sum(row) for value in row] if fields.get("apply_softmax") else row)
        size = sum(map(len, prompts))
        usage = {"prompt_tokens": size, "total_tokens": size, "completion_tokens": 0}
        body = {"scores": scores, "model": fields.get("model", "default"), "usage": usage, "object": "scoring"}
        exchange.reply(200, to_json(body))


def unauthorized() -> bytes:
    """Body of a 401."""
    return plain_error("Unauthorized")
