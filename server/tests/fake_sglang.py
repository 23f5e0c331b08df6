"""Stands for SGLang's server in tests of starting and stopping: takes its flags, answers like it, fails on request."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--config", type=Path)
parser.add_argument("--fail-with", help="write this to the log and end with status 3")
parser.add_argument("--hang-with", help="write this to the log and never answer")
parser.add_argument("--end-after", type=float, help="end with status 7 some seconds after the first token")
parser.add_argument("--ignore-sigterm", action="store_true")
parser.add_argument("--random-seed", type=int)
parser.add_argument("--stranger-once", type=Path, help="tell another server's seed, unless this file exists")
options, _ = parser.parse_known_args()
key = json.loads(options.config.read_text().partition(": ")[2]) if options.config else None
print(f"server_args=ServerArgs(port={options.port}, api_key={key!r})", flush=True)
if options.stranger_once and not options.stranger_once.exists():
    options.stranger_once.touch()
    options.random_seed = -1
if options.ignore_sigterm:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if options.fail_with:
    print(options.fail_with)
    sys.exit(3)
worker = subprocess.Popen(["sleep", "600"])
if options.hang_with:
    print(options.hang_with, flush=True)
    time.sleep(600)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(json.dumps({"random_seed": options.random_seed}).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if key and self.headers["authorization"] != f"Bearer {key}":
            self.send_error(401)
            return
        self.answer(json.dumps({"text": "1", "meta_info": {"completion_tokens": 1}}).encode())
        if options.end_after is not None:
            threading.Timer(options.end_after, server.shutdown).start()

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
print("Uvicorn running on", options.port, flush=True)
server.serve_forever()
sys.exit(7)
