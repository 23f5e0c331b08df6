"""Raw requests to SGLang, one list for every server: real ones of three versions, and the fake.

Each case names the section of the dialect that it pins down. Ids are small, so that any model's vocabulary holds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "ALL_CASES",
    "CASES",
    "EOS_TOKEN",
    "FORCED_TOKEN",
    "LATER_CASES",
    "OWN_RIDS",
    "REWARD_CASES",
    "WireCase",
]

EOS_TOKEN = 1
FORCED_TOKEN = 40
OWN_RIDS = "contract-rid-"
PROMPT = [5, 6, 7, 8, 9, 10]
OTHER = [11, 12, 13, 14]


@dataclass(frozen=True, slots=True)
class WireCase:
    """One request.

    Attributes:
        section: what it pins down, as ``area: rule``.
        method: HTTP method.
        path: path at the server.
        body: JSON body, or None.
        raw: bytes to send instead of a JSON body.
    """

    section: str
    method: str
    path: str
    body: Any = None
    raw: bytes | None = None


def _generate(section: str, sampling: dict[str, Any] | None = None, **body: Any) -> WireCase:
    prompt = {} if {"text", "input_ids"} & body.keys() else {"input_ids": PROMPT}
    params = {"max_new_tokens": 4, "temperature": 0.0, **(sampling or {})}
    return WireCase(section, "POST", "/generate", {**prompt, "sampling_params": params, **body})


def _forced(section: str, sampling: dict[str, Any], token: int = FORCED_TOKEN, **body: Any) -> WireCase:
    return _generate(section, {"logit_bias": {str(token): 1000.0}, **sampling}, **body)


_REQUEST_FORMS = [
    _generate("request: ids"),
    _generate("request: text", text="Hello there"),
    _generate("request: one id list in a list gives a list", input_ids=[PROMPT]),
    _generate("request: a batch keeps its order", input_ids=[PROMPT, OTHER]),
    _generate("request: a batch of texts", text=["Hello there", "And you"]),
    _generate("request: an unknown top-level key is ignored", sampling_param={"temperature": 0.3}),
    _generate("request: no ids", input_ids=[]),
    WireCase("request: neither text nor ids", "POST", "/generate", {"sampling_params": {"max_new_tokens": 4}}),
    WireCase("request: no body", "POST", "/generate", raw=b""),
    WireCase("request: broken JSON", "POST", "/generate", raw=b'{"input_ids": [1, 2'),
    WireCase("request: a list instead of an object", "POST", "/generate", raw=b"[]"),
    _generate("request: ids of the wrong type", input_ids=["a"]),
    WireCase(
        "request: a list of sampling dicts for a batch",
        "POST",
        "/generate",
        {"input_ids": [PROMPT, OTHER], "sampling_params": [{"max_new_tokens": 2}, {"max_new_tokens": 3}]},
    ),
    WireCase(
        "request: a sampling list for a single prompt",
        "POST",
        "/generate",
        {"input_ids": PROMPT, "sampling_params": [{"max_new_tokens": 2}]},
    ),
]

_RIDS = [
    _generate("rid: returned as it is", rid="contract-rid-1"),
    _generate("rid: a string for a batch is numbered", input_ids=[PROMPT, OTHER], rid="contract-rid-2"),
    _generate("rid: a list for a batch", input_ids=[PROMPT, OTHER], rid=["contract-rid-3", "contract-rid-4"]),
    _generate("rid: a list that is too short", input_ids=[PROMPT, OTHER], rid=["contract-rid-5"]),
    _generate("rid: the same twice in one batch", input_ids=[PROMPT, OTHER], rid=["contract-rid-6"] * 2),
    _generate("rid: n = 2 gives fresh ids", {"n": 2}, rid=["contract-rid-7"]),
]

_SAMPLING_RANGES = [
    _generate(f"sampling range: {name} = {value}", {name: value})
    for name, value in [
        ("temperature", -0.1),
        ("temperature", 0),
        ("top_p", 0.0),
        ("top_p", 1.0),
        ("top_p", 1.1),
        ("top_k", 0),
        ("top_k", -1),
        ("top_k", -2),
        ("top_k", 3),
        ("min_p", -0.1),
        ("min_p", 1.0),
        ("min_p", 1.1),
        ("frequency_penalty", 2.0),
        ("frequency_penalty", 2.1),
        ("presence_penalty", -2.1),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", 2.0),
        ("repetition_penalty", 2.1),
        ("min_new_tokens", -1),
        ("min_new_tokens", 5),
        ("max_new_tokens", -1),
        ("max_new_tokens", 0),
        ("logit_bias", {"5": 1.0}),
        ("logit_bias", {"999999999": 1.0}),
        ("stop", ""),
        ("stop", []),
        ("stop_token_ids", [5]),
        ("stop_regex", "["),
        ("regex", "[0-9]"),
        ("sampling_seed", 7),
        ("max_tokens", 5),
        ("seed", 7),
        ("ignore_eos", True),
        ("skip_special_tokens", False),
    ]
] + [
    _generate("sampling range: two grammars", {"regex": "a", "json_schema": "{}"}),
]

_ENDINGS = [
    _forced("ending: length", {"max_new_tokens": 3}),
    _forced("ending: eos", {}, EOS_TOKEN),
    _forced("ending: eos is ignored", {"ignore_eos": True, "max_new_tokens": 3}, EOS_TOKEN),
    _forced("ending: a stop token", {"stop_token_ids": [FORCED_TOKEN]}),
    _forced("ending: a stop token is ignored with ignore_eos", {"stop_token_ids": [FORCED_TOKEN], "ignore_eos": True}),
    _forced("ending: eos on the last token", {"max_new_tokens": 1}, EOS_TOKEN),
    _forced("ending: eos held back by min_new_tokens", {"min_new_tokens": 2}, EOS_TOKEN),
    _forced("ending: stop_regex", {"stop_regex": "."}),
    _forced("ending: no output", {"max_new_tokens": 0}),
]

_LOGPROBS = [
    _forced("logprobs: of the output", {}, return_logprob=True),
    _forced("logprobs: with text", {}, return_logprob=True, return_text_in_logprobs=True),
    _forced("logprobs: top 2", {}, return_logprob=True, top_logprobs_num=2),
    _forced("logprobs: of chosen ids", {}, return_logprob=True, token_ids_logprob=[5, 6]),
    _forced("logprobs: of the prompt", {}, return_logprob=True, logprob_start_len=0),
    _forced("logprobs: beyond the prompt", {}, return_logprob=True, logprob_start_len=1000),
    _forced(
        "logprobs: of chosen ids in a batch",
        {"max_new_tokens": 1},
        input_ids=[PROMPT, OTHER],
        return_logprob=True,
        token_ids_logprob=[[5, 6], [7]],
    ),
    _forced("prompt ids: asked for", {}, return_prompt_token_ids=True),
]

_PARALLEL = [
    _generate("n: two samples of one prompt", {"n": 2}),
    _generate("n: two samples of two prompts", {"n": 2}, input_ids=[PROMPT, OTHER]),
    _generate("n: one sample", {"n": 1}),
    _generate("n: zero", {"n": 0}),
]

_STREAMS = [
    _forced("stream: frames", {}, stream=True),
    _forced("stream: a batch", {"max_new_tokens": 2}, input_ids=[PROMPT, OTHER], stream=True),
    _generate("stream: a bad value is an error frame", {"top_p": 2.0}, stream=True),
]

_ENDPOINTS = [
    WireCase("endpoint: /health", "GET", "/health"),
    WireCase("endpoint: /health_generate", "GET", "/health_generate"),
    WireCase("endpoint: /ping", "GET", "/ping"),
    WireCase("endpoint: /ready", "GET", "/ready"),
    WireCase("endpoint: /model_info", "GET", "/model_info"),
    WireCase("endpoint: /get_model_info", "GET", "/get_model_info"),
    WireCase("endpoint: /server_info", "GET", "/server_info"),
    WireCase("endpoint: /v1/models", "GET", "/v1/models"),
    WireCase("endpoint: /v1/loads", "GET", "/v1/loads"),
    WireCase("endpoint: /get_load", "GET", "/get_load"),
    WireCase("endpoint: /flush_cache", "POST", "/flush_cache"),
    WireCase("endpoint: /abort_request of nobody", "POST", "/abort_request", {"rid": "nobody-has-this"}),
    WireCase("endpoint: /tokenize", "POST", "/tokenize", {"prompt": "Hello"}),
    WireCase("endpoint: /tokenize without a prompt", "POST", "/tokenize", {}),
    WireCase("endpoint: /tokenize of two", "POST", "/tokenize", {"prompt": ["Hello", "there"]}),
    WireCase("endpoint: /detokenize", "POST", "/detokenize", {"tokens": [40, 41]}),
    WireCase("endpoint: /classify of a generation model", "POST", "/classify", {"text": "Hello"}),
    WireCase("endpoint: /encode of a generation model", "POST", "/encode", {"text": "Hello"}),
    WireCase("endpoint: an unknown path", "GET", "/nowhere"),
    WireCase("endpoint: the wrong method", "GET", "/generate"),
    WireCase("endpoint: /metrics", "GET", "/metrics/"),
]

CASES: list[WireCase] = [
    *_REQUEST_FORMS,
    *_RIDS,
    *_SAMPLING_RANGES,
    *_ENDINGS,
    *_LOGPROBS,
    *_PARALLEL,
    *_STREAMS,
    *_ENDPOINTS,
]
"""All cases, in the order in which they are sent. The server is idle before each."""

LABEL_CASES: list[WireCase] = [
    _generate(
        f"labels: behind prompts that are {state}",
        {"max_new_tokens": 0, "temperature": 1.0},
        input_ids=[[*PROMPT, 43], [*PROMPT, 45], [*OTHER, 43], [5, 43]],
        return_logprob=True,
        logprob_start_len=[5, 5, 3, 0],
    )
    for state in ("cold", "warm")
]
"""What `label_probs` sends."""

_LONG = [7] * 2030  # the context of the profile `tiny` is 2,048 tokens

LATER_CASES: list[WireCase] = [
    WireCase("later: PUT is POST", "PUT", "/generate", {"input_ids": PROMPT, "sampling_params": {"max_new_tokens": 2}}),
    _generate("later: text and ids together", text="Hello there", input_ids=PROMPT),
    WireCase("later: NaN is no JSON", "POST", "/generate", raw=b'{"input_ids":[5],"sampling_params":{"top_p":NaN}}'),
    WireCase("later: an id of more than 64 bits", "POST", "/generate", raw=b'{"input_ids":[5,99999999999999999999]}'),
    WireCase(
        "later: fewer sampling dicts than prompts",
        "POST",
        "/generate",
        {"input_ids": [PROMPT, OTHER], "sampling_params": [{"max_new_tokens": 2}]},
    ),
    WireCase(
        "later: more sampling dicts than prompts",
        "POST",
        "/generate",
        {"input_ids": [PROMPT, OTHER], "sampling_params": [{"max_new_tokens": 2}] * 3},
    ),
    WireCase(
        "later: different n in one batch",
        "POST",
        "/generate",
        {"input_ids": [PROMPT, OTHER], "sampling_params": [{"max_new_tokens": 2, "n": n} for n in (1, 2)]},
    ),
    _generate("later: a number as rid", rid=5),
    _generate("later: prompt ids as null", return_prompt_token_ids=None),
    _generate("later: a namespace shares nothing with another", extra_key="contract"),
    _generate("later: the same namespace shares", extra_key="contract"),
    _generate("later: fewer namespaces than prompts", input_ids=[PROMPT, OTHER], extra_key=["contract"]),
    _generate("later: a list of wishes for log-probabilities with n = 2", {"n": 2}, return_logprob=[True]),
    _generate("later: chosen ids outside the vocabulary", return_logprob=True, token_ids_logprob=[5, 999_999_999]),
    _generate("later: a prompt as long as the context", input_ids=[7] * 2048),
    _generate("later: a prompt and an output longer than the context", {"max_new_tokens": 19}, input_ids=_LONG),
    _generate("later: a prompt longer than the longest input", {"max_new_tokens": 1}, input_ids=[7] * 2042),
    _forced(
        "later: an output that is cut to the room",
        {"max_new_tokens": 18, "ignore_eos": True},
        input_ids=_LONG,
    ),
    *(
        _generate(f"later: {name} is null", {name: None})
        for name in ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "repetition_penalty", "stop", "n")
    ),
    _generate("later: stop token ids are null", {"stop_token_ids": None}),
    _generate("later: an unknown sampling field in a stream", {"max_tokens": 5}, stream=True),
    _generate("later: a prompt too long in a stream", input_ids=[7] * 2048, stream=True),
    _forced("later: a stream with its own interval", {"stream_interval": 4}, stream=True),
    _forced("later: log-probabilities in a stream", {}, return_logprob=True, top_logprobs_num=2, stream=True),
    WireCase("later: /get_server_info", "GET", "/get_server_info"),
    WireCase("later: /v1/loads of unknown parts", "GET", "/v1/loads?include=nothing"),
    WireCase("later: an unknown model", "GET", "/v1/models/nobody"),
    WireCase("later: /flush_cache by GET", "GET", "/flush_cache"),
    WireCase("later: /abort_request of an empty id", "POST", "/abort_request", {"rid": ""}),
    WireCase("later: /v1/tokenize", "POST", "/v1/tokenize", {"prompt": "Hello", "add_special_tokens": False}),
    WireCase("later: /v1/detokenize", "POST", "/v1/detokenize", {"tokens": [40, 41], "skip_special_tokens": False}),
    WireCase("later: /detokenize of two", "POST", "/detokenize", {"tokens": [[40], [41]]}),
]
"""More rows of the dialect, sent last; recorded from 0.5.18 and 0.5.23, not from 0.5.14."""


def _classify(section: str, **body: Any) -> WireCase:
    return WireCase(section, "POST", "/classify", body)


ALL_CASES: list[WireCase] = [*CASES, *LABEL_CASES, *LATER_CASES]

REWARD_CASES: list[WireCase] = [
    WireCase("endpoint: /model_info", "GET", "/model_info"),
    WireCase("endpoint: /server_info", "GET", "/server_info"),
    WireCase("endpoint: /health_generate", "GET", "/health_generate"),
    _classify("reward: ids", input_ids=PROMPT),
    _classify("reward: a batch keeps its order", input_ids=[PROMPT, OTHER], rid=["contract-rid-1", "contract-rid-2"]),
    _classify("reward: one id list in a list gives a list", input_ids=[PROMPT]),
    _classify("reward: a string as rid of a batch", input_ids=[PROMPT, OTHER], rid="contract-rid-3"),
    _classify("reward: extra_key is ignored", input_ids=[PROMPT], extra_key=["tree"]),
    _classify("reward: fewer rids than prompts", input_ids=[PROMPT, OTHER], rid=["contract-rid-4"]),
    _classify("reward: no prompts", input_ids=[]),
    _classify("reward: the longest prompt", input_ids=[[5] * 2047]),
    _classify("reward: one prompt of a batch is too long", input_ids=[PROMPT, [5] * 2048]),
    WireCase("reward: /encode gives the same", "POST", "/encode", {"input_ids": [PROMPT]}),
]
"""For a server of a reward model with one output; the context is 2,048 tokens."""
