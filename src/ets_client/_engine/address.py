"""Where the server is now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from ..endpoint import Endpoint
from ..errors import ConfigurationError

if TYPE_CHECKING:
    import os

    from pydantic import SecretStr

__all__ = ["Address", "EndpointAddress", "FixedAddress"]


class Address(Protocol):
    """The server's place, which may change while a client lives."""

    @property
    def base_url(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        ...

    @property
    def api_key(self) -> SecretStr | None:
        """The key for it, or None."""
        ...

    async def refresh(self) -> None:
        """Look again, after the server could not be reached."""
        ...


class FixedAddress:
    """An address that was given once and for all."""

    def __init__(self, base_url: str, api_key: SecretStr | None) -> None:
        """Check the address.

        Raises:
            ConfigurationError: it is not an http or https address.
        """
        if not base_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"base_url = {base_url!r}: an address such as http://127.0.0.1:30000")
        self.base_url = base_url.rstrip("/")
        self.api_key = api_key

    async def refresh(self) -> None:
        """Nothing to look at."""


class EndpointAddress:
    """An address in an endpoint file, which a requeued server writes again from another node."""

    def __init__(self, path: str | os.PathLike[str], api_key: SecretStr | None) -> None:
        """Read the file.

        Args:
            path: the endpoint file.
            api_key: a key that is used instead of the file's, or None.

        Raises:
            ConfigurationError: the file is missing or not valid.
        """
        self._path = path
        self._given_key = api_key
        self.endpoint = Endpoint.read(path)

    @property
    def base_url(self) -> str:
        """Scheme, host and port, as the file says."""
        return self.endpoint.base_url

    @property
    def api_key(self) -> SecretStr | None:
        """The key that was given, else the file's."""
        return self._given_key if self._given_key is not None else self.endpoint.api_key

    async def refresh(self) -> None:
        """Read the file again. While it is missing or half of a new start, the last address stays."""
        try:
            self.endpoint = await asyncio.to_thread(Endpoint.read, self._path)
        except ConfigurationError:
            return
