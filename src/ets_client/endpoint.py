"""Where a server is: the small file that a server's starter writes and the client reads, again and again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_serializer

from .errors import ConfigurationError

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Endpoint"]


class Endpoint(BaseModel):
    """One running server.

    A job that is requeued writes the file again from another node and port; ``start_id`` tells one start from the next,
    so that a client knows that the new server's cache is empty.

    Attributes:
        host: address to connect to.
        port: TCP port.
        role: what the server is for.
        model: what it serves, as SGLang was told (a folder or an id).
        profile: name of the profile it was started with, or None.
        start_id: different for every start.
        keep_alive_seconds: how long the server keeps an idle connection open.
        api_key: the server's key, or None. The file's mode is 0600.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    schema_version: Literal[1] = 1
    host: str
    port: int = Field(ge=1, le=65535)
    role: Literal["policy", "reward"] = "policy"
    model: str
    profile: str | None = None
    start_id: str
    keep_alive_seconds: float = Field(default=5.0, gt=0)
    api_key: SecretStr | None = None

    @property
    def base_url(self) -> str:
        """``http://host:port``, with brackets around an IPv6 address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read an endpoint file.

        Args:
            path: the file.

        Raises:
            ConfigurationError: it is missing, unreadable or not an endpoint file.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except FileNotFoundError:
            name = os.fspath(path)
            if name.startswith(("http:", "https:")):
                what = "that is an address; give it as base_url or `--policy`, or the file that `ets-server up` wrote"
            else:
                what = (
                    "is the server up? `ets-server status` shows what runs, "
                    f"`ets-server up --endpoint-file {name}` starts one"
                )
            raise ConfigurationError(f"no endpoint file at {name}: {what}") from None
        except OSError as error:
            raise ConfigurationError(f"cannot read the endpoint file {os.fspath(path)}: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise ConfigurationError(
                f"{os.fspath(path)} is not an endpoint file: {where}: {first['msg']}; "
                "start the server again with --endpoint-file"
            ) from None

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the file atomically, readable by its owner alone.

        Args:
            path: the file; its folder is created when it is missing.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mkstemp's mode is 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.model_dump_json(indent=1).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    @field_serializer("api_key", when_used="json-unless-none")
    def _reveal_in_the_file_only(self, key: SecretStr) -> str:
        return key.get_secret_value()
