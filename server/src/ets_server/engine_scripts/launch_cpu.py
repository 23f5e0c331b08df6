"""Start SGLang's own server on a CPU. Takes SGLang's flags; runs on the engine's Python."""

from __future__ import annotations

import os
import sys

import cpu_support

cpu_support.install()  # at module level, for the spawned workers too

if __name__ == "__main__":
    from sglang.launch_server import run_server
    from sglang.srt.server_args import prepare_server_args
    from sglang.srt.utils import kill_process_tree

    try:
        run_server(prepare_server_args(sys.argv[1:]))
    finally:
        kill_process_tree(os.getpid(), include_parent=False)
