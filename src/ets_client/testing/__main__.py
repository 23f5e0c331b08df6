"""``python -m ets_client.testing``: a fake server of its own, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack

from .options import FakeOptions
from .responder import BareResponder
from .server import FakeServer
from .timing import Costs


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: those of the process when there are none.
    """
    parser = argparse.ArgumentParser(prog="python -m ets_client.testing", description="A fake SGLang server.")
    parser.add_argument("--port", type=int, default=0, help="0 for any that is free")
    parser.add_argument("--sglang-version", default="0.5.18", choices=("0.5.14", "0.5.18", "0.5.23"))
    parser.add_argument("--options", default="{}", help="JSON of more FakeOptions, such as '{\"page_size\": 16}'")
    parser.add_argument("--endpoint-file", help="write one")
    parser.add_argument("--prefill-token", type=float, default=0.0, help="seconds for each computed prompt token")
    parser.add_argument("--decode-step", type=float, default=0.0, help="seconds for a token of all samples")
    parser.add_argument("--bare", action="store_true", help="a BareResponder instead")
    parser.add_argument("--delay", type=float, default=0.0, help="of a bare responder's replies")
    parser.add_argument("--jitter", type=float, default=0.0, help="of a bare responder's delay")
    asyncio.run(_run(parser.parse_args(arguments)))


async def _run(given: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        server: FakeServer | BareResponder
        if given.bare:
            server = BareResponder(delay=given.delay, jitter=given.jitter, port=given.port)
            await stack.enter_async_context(server)
        else:
            options = FakeOptions(**{"version": given.sglang_version} | json.loads(given.options))
            costs = Costs(prefill_token=given.prefill_token, decode_step=given.decode_step)
            server = FakeServer(options, costs=costs, port=given.port)
            await stack.enter_async_context(server)
            if given.endpoint_file:
                server.endpoint(given.endpoint_file)
        sys.stdout.write(json.dumps({"base_url": server.base_url, "port": server.port}) + "\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    main()
