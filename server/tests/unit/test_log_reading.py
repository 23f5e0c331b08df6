from __future__ import annotations

import pytest

from ets_server.causes import StartFacts, cause_of, is_hopeless, last_lines
from ets_server.phases import FIRST_PHASE, phase_of
from ets_server.redact import redact

FACTS = StartFacts(model="owner/name", port=30000, has_token=False)

READY_LOG = """\
[2026-01-02 03:04:05] Fail to set RLIMIT_NOFILE: current limit exceeds maximum limit
[2026-01-02 03:04:05] server_args=ServerArgs(model_path='/m', host='127.0.0.1', port=30000, api_key='sk-1', tp_size=1)
[2026-01-02 03:04:06] Using default HuggingFace chat template with detected content format: string
[2026-01-02 03:04:09] Init torch distributed begin.
[2026-01-02 03:04:09] Ignore import error when loading sglang.srt.models.midashenglm: No module named 'torchaudio'
[2026-01-02 03:04:10] Load weight begin. avail mem=21.73 GB
[2026-01-02 03:04:11] Load weight end. elapsed=1.13 s, type=LlamaForCausalLM, avail mem=21.51 GB, mem usage=0.22 GB.
[2026-01-02 03:04:12] Capture cuda graph begin. This can take up to several minutes. avail mem=20.07 GB
[2026-01-02 03:04:14] INFO:     Uvicorn running on http://127.0.0.1:30000 (Press CTRL+C to quit)
[2026-01-02 03:04:15] The server is fired up and ready to roll!
"""

READY_LOG_0_5_23 = """\
[2026-01-02 03:04:05] Cuda graph is disabled because of using torch native attention backend
[2026-01-02 03:04:05] server_args={'model_path': '/m', 'port': 30000, 'api_key': 'k\\'q"sk-1', 'admin_api_key': None}
[2026-01-02 03:04:09] Init parallel begin.
Multi-thread loading shards:   0% Completed | 0/1 [00:00<?, ?it/s]
[2026-01-02 03:04:11] Load weight end. elapsed=0.02 s, type=LlamaForCausalLM, avail mem=21.65 GB, mem usage=0.00 GB.
[2026-01-02 03:04:14] INFO:     Application startup complete.
[2026-01-02 03:04:15] The server is fired up and ready to roll!
"""

PORT_TAKEN = """\
[2026-01-02 03:04:10] Ignore import error when loading sglang.srt.models.midashenglm: No module named 'torchaudio'
[2026-01-02 03:04:11] INFO:     Application startup complete.
ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 30000): address already in use
[2026-01-02 03:04:11] INFO:     Waiting for application shutdown.
"""

MISSING_FOLDER = """\
  File "/engine/transformers/utils/hub.py", line 488, in cached_files
    raise OSError(f"{e}") from e
OSError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/nowhere/model'.
"""

NO_INTERNET = """\
  File "/engine/transformers/utils/hub.py", line 513, in cached_files
    raise OSError(
OSError: We couldn't connect to 'https://hub.invalid' to load the files, and couldn't find them in the cached files.
Check your internet connection or see how to run the library in offline mode.
"""

GATED = """\
huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-2)
Cannot access gated repo for url https://hub.invalid/owner/name/resolve/main/config.json.
Access to model owner/name is restricted. You must have access to it and be authenticated to access it. Please log in.
"""

UNKNOWN_MODEL = """\
huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error. (Request ID: Root=1-2)
OSError: owner/name is not a local folder and is not a valid model identifier listed on the hub
"""

GPU_MEMORY = """\
[2026-01-02 03:04:11 TP0] Scheduler hit an exception: Traceback (most recent call last):
  File "/engine/sglang/srt/managers/scheduler.py", line 2700, in run_scheduler_process
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.25 GiB. GPU 0 has a total capacity of 79.11 GiB
[2026-01-02 03:04:11] Received sigquit from a child process. It usually means the child failed.
"""

KV_MEMORY = "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static."
KV_FRACTION = (
    "ValueError: Loaded weights leave no GPU memory for the KV cache under --mem-fraction-static=0.02. Raise "
    "--mem-fraction-static above 0.026 (minimum viable = 1 - available/pre = 0.0258)."
)
NO_GPU = "RuntimeError: No CUDA GPUs are available"
TOO_MANY_GPUS = "RuntimeError: CUDA error: invalid device ordinal"
SPLIT = "AssertionError: 32 is not divisible by 3"
NO_SGLANG = (
    "/usr/bin/python3: Error while finding module specification for 'sglang.launch_server' "
    "(ModuleNotFoundError: No module named 'sglang')\n"
)
NO_PACKAGE = """\
Traceback (most recent call last):
  File "/engine/fastapi/telemetry/_api.py", line 9, in <module>
    from opentelemetry import context as otel_context
ModuleNotFoundError: No module named 'opentelemetry'
"""
UNKNOWN_FLAG = "sglang serve: error: unrecognized arguments: --no-such-flag 3\n"
BAD_FLAG = "launch_server.py: error: argument --schedule-policy: invalid choice: 'x' (choose from 'lpm', 'fcfs')\n"
NO_WEIGHTS = "RuntimeError: Cannot find any model weights with `/m`\n"
DISK = "OSError: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (PORT_TAKEN, "port 30000 was taken"),
        (MISSING_FOLDER, "there is no model in owner/name"),
        (NO_INTERNET, "`ets-server fetch owner/name`"),
        (GATED, "gated and no hub token was found"),
        (UNKNOWN_MODEL, "there is no model owner/name on the hub"),
        (GPU_MEMORY, "GPU memory does not suffice"),
        (KV_MEMORY, "GPU memory does not suffice"),
        (KV_FRACTION, "GPU memory does not suffice"),
        (NO_GPU, "sees no usable GPU"),
        (TOO_MANY_GPUS, "more GPUs than it sees"),
        (SPLIT, "32 is not divisible by 3; choose another --tp"),
        (NO_SGLANG, "no package 'sglang'"),
        (NO_PACKAGE, "lacks the Python package 'opentelemetry'"),
        (UNKNOWN_FLAG, "does not know the flags '--no-such-flag 3'"),
        (BAD_FLAG, "refused its flags: argument --schedule-policy: invalid choice"),
        (NO_WEIGHTS, "holds no weights"),
        (DISK, "disk is full"),
    ],
)
def test_the_cause_of_a_failed_start(log: str, said: str) -> None:
    cause = cause_of(log, FACTS)
    assert cause is not None
    assert said in cause
    assert "\n" not in cause


def test_a_token_that_may_not_read_is_told_from_no_token() -> None:
    cause = cause_of(GATED, StartFacts("owner/name", 1, has_token=True))
    assert cause is not None
    assert "your hub token may not read it" in cause


def test_a_healthy_log_has_no_cause() -> None:
    assert cause_of(READY_LOG, FACTS) is None
    assert not is_hopeless(READY_LOG)


def test_sglang_stays_when_its_port_is_taken_so_the_log_decides() -> None:
    assert is_hopeless(PORT_TAKEN)


@pytest.mark.parametrize(
    ("lines", "phase"),
    [
        (0, FIRST_PHASE),
        (1, FIRST_PHASE),
        (2, "reading the configuration"),
        (5, "starting workers"),
        (6, "loading weights"),
        (7, "allocating the KV cache"),
        (8, "capturing graphs"),
        (9, "warming up"),
        (10, "generating a first token"),
    ],
)
def test_the_phase_is_the_furthest_the_log_shows(lines: int, phase: str) -> None:
    assert phase_of("".join(READY_LOG.splitlines(keepends=True)[:lines])) == phase


@pytest.mark.parametrize(
    ("lines", "phase"),
    [
        (1, FIRST_PHASE),
        (2, "reading the configuration"),
        (3, "starting workers"),
        (4, "loading weights"),
        (5, "allocating the KV cache"),
        (6, "warming up"),
        (7, "generating a first token"),
    ],
)
def test_the_phase_in_a_log_of_0_5_23(lines: int, phase: str) -> None:
    assert phase_of("".join(READY_LOG_0_5_23.splitlines(keepends=True)[:lines])) == phase


def test_last_lines_leave_out_noise_and_are_short() -> None:
    log = PORT_TAKEN + "\n\n" + "x" * 1000 + "\n0% Completed | 0/1\r100% Completed | 1/1\n"
    shown = last_lines(log, 3)
    assert len(shown) == 3
    assert shown[-1] == "x" * 400
    assert "address already in use" in shown[0]
    assert not [line for line in last_lines(log, 99) if "torchaudio" in line]


def test_keys_are_taken_out() -> None:
    shown = redact(READY_LOG + """ api_key="it's", admin_api_key='sk-2', api_key=None, my_api_key_count='3'""")
    assert "sk-1" not in shown
    assert "sk-2" not in shown
    assert "it's" not in shown
    assert "api_key='***', tp_size=1" in shown
    assert "api_key=None" in shown
    assert "my_api_key_count='3'" in shown


def test_keys_are_taken_out_of_a_log_of_0_5_23() -> None:
    shown = redact(READY_LOG_0_5_23 + """'api_key': "it's \\"so\\"", 'admin_api_key': 'sk-2', 'x': 'y'""")
    assert "sk-1" not in shown
    assert "sk-2" not in shown
    assert "so" not in shown.splitlines()[-1]
    assert "'port': 30000, 'api_key': '***', 'admin_api_key': None}" in shown
    assert shown.endswith("'x': 'y'")
