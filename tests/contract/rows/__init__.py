"""The rows of SGLang's HTTP dialect, by section, each with what proves that the client (or the fake) knows it."""

from .replies import REPLIES
from .requests import REQUESTS
from .row import Row
from .servers import SERVERS

__all__ = ["ROWS", "Row"]

ROWS: tuple[Row, ...] = (*REQUESTS, *REPLIES, *SERVERS)
