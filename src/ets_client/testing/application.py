"""What answers a whole request, as SGLang's FastAPI application does: keys, paths, methods, and errors as replies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .admin import Admin, unauthorized
from .auth import is_allowed
from .errors import RejectedError
from .sampling import CrashError, FatalError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from .calls import Generator
    from .exchange import Exchange
    from .model import TextModel

__all__ = ["Application", "crash"]


class Application:
    """Finds who answers a request, and says what becomes of its errors."""

    def __init__(
        self,
        generator: Generator,
        model: TextModel,
        responses: Counter[tuple[str, str, int]],
        *,
        port: Callable[[], int],
        is_draining: Callable[[], bool],
        die: Callable[[str], None],
    ) -> None:
        """Make it.

        Args:
            generator: answers ``/generate``.
            model: what the server writes.
            responses: counts replies by path, method and status.
            port: that the server listens on.
            is_draining: whether it was told to end.
            die: called when a request kills it, with why.
        """
        self._options = generator.options
        self._dialect = generator.dialect
        self._responses = responses
        self._port = port
        self._die = die
        self._routes: dict[str, dict[str, Callable[[Exchange], None]]] = {
            **Admin(generator, model, responses, port, is_draining).routes,
            "/generate": {"POST": generator.handle, "PUT": generator.handle},
        }

    def answer(self, exchange: Exchange) -> None:
        """Answer a request, now or later."""
        handle = self._handler(exchange)
        if handle is None:
            return
        try:
            handle(exchange)
        except RejectedError as error:
            exchange.reply(error.status, error.listed if self._dialect.lists_faults else error.body)
        except CrashError:
            crash(exchange)
        except FatalError as error:
            self._die(str(error))
        if exchange.status is not None:
            self._responses[exchange.path, exchange.method, exchange.status] += 1

    def _handler(self, exchange: Exchange) -> Callable[[Exchange], None] | None:
        """Who answers it; None when it was refused here."""
        path, options = exchange.path, self._options
        if options.api_key is not None or options.admin_api_key is not None:
            header = exchange.headers.get(b"authorization", b"").decode("latin-1")
            has_ready = self._dialect.has_ready
            if not is_allowed(
                path, header, api_key=options.api_key, admin_key=options.admin_api_key, has_ready=has_ready
            ):
                exchange.reply(401, unauthorized())
                return None
        route = self._routes.get(path)
        if route is None:
            self._unknown(exchange)
            return None
        handle = route.get(exchange.method)
        if handle is None:
            more = b"allow: %s\r\n" % ", ".join(route).encode()
            exchange.reply(405, b'{"detail":"Method Not Allowed"}', more=more)
        return handle

    def _unknown(self, exchange: Exchange) -> None:
        path = exchange.path
        if path.startswith("/v1/models/"):
            name = path.removeprefix("/v1/models/")
            error = f'{{"error":{{"message":"The model \'{name}\' does not exist","type":"invalid_request_error",'
            exchange.reply(404, (error + '"param":"model","code":"model_not_found"}}').encode())
        elif path.endswith("/") and path.rstrip("/") in self._routes:
            location = f"location: http://127.0.0.1:{self._port()}{path.rstrip('/')}\r\n".encode()
            exchange.reply(307, b"", None, more=location)
        else:
            exchange.reply(404, b'{"detail":"Not Found"}')


def crash(exchange: Exchange) -> None:
    """What Starlette sends for an exception that nobody caught."""
    exchange.reply(500, b"Internal Server Error", "text/plain; charset=utf-8", closes=True)
