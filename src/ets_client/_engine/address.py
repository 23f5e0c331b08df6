"""Where the server is now."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from ..endpoint import Endpoint
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import SecretStr

__all__ = ["Address", "EndpointAddress", "FixedAddress", "check_api_key"]


def check_api_key(key: SecretStr | None) -> SecretStr | None:
    """Check that a key can stand in a header; what an HTTP library says of a bad one may quote it.

    Raises:
        ConfigurationError: it is empty or holds spaces, line ends or characters outside ASCII.
    """
    if key is not None:
        characters = key.get_secret_value()
        if not characters or not all("!" <= character <= "~" for character in characters):
            raise ConfigurationError("api_key: visible ASCII characters without spaces or line ends (it is not shown)")
    return key


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
            ConfigurationError: it is not an http or https address, or the key cannot be sent.
        """
        if not _is_address(base_url):
            raise ConfigurationError(
                f"base_url = {base_url!r}: an address such as http://127.0.0.1:30000; "
                "from_endpoint(path) takes an endpoint file"
            )
        self.base_url = base_url.rstrip("/")
        self.api_key = check_api_key(api_key)

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
            ConfigurationError: the file is missing or not valid, or the key cannot be sent.
        """
        self._path = path
        self._given_key = check_api_key(api_key)
        self.endpoint = _read(path)

    @property
    def base_url(self) -> str:
        """Scheme, host and port, as the file says."""
        return self.endpoint.base_url

    @property
    def api_key(self) -> SecretStr | None:
        """The key that was given, else the file's."""
        return self._given_key if self._given_key is not None else self.endpoint.api_key

    async def refresh(self) -> None:
        """Read the file again. While it is missing or half of a new start, the last address stays.

        Raises:
            ConfigurationError: another model is served there now. What this client holds are ids of the old one; a
                server dies of ids outside its vocabulary.
        """
        try:
            found = await asyncio.to_thread(_read, self._path)
        except ConfigurationError:
            return
        before = self.endpoint
        if (found.model, found.role) != (before.model, before.role):
            raise ConfigurationError(
                f"{os.fspath(self._path)} now names the {found.role} model {found.model} instead of the {before.role} "
                f"model {before.model}: make a new client for it"
            )
        self.endpoint = found


def _read(path: str | os.PathLike[str]) -> Endpoint:
    endpoint = Endpoint.read(path)
    check_api_key(endpoint.api_key)
    return endpoint


def _is_address(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False
