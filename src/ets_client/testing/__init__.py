"""A fake SGLang server for tests: real sockets, a real radix tree, no model and no GPU.

Needs the extra ``ets-client[testing]``. In pytest, the fixtures ``fake_sglang`` and ``fake_sglang_factory`` are there
once it is installed; ``python -m ets_client.testing`` runs a server of its own.
"""

from .faults import (
    Answer,
    Cut,
    Fault,
    FaultPlan,
    Garbage,
    Late,
    NeverAnswer,
    QueueFull,
    Raw,
    Refuse,
    Reset,
    Rule,
    ServerError,
    Slow,
    Stall,
)
from .model import ScriptedModel, SeededModel, TextModel
from .options import FakeOptions, Version
from .responder import BareResponder
from .server import FakeServer
from .timing import Costs, RealClock, VirtualClock
from .tokenizer import ByteTokenizer, HubTokenizer, Tokenizer

__all__ = [
    "Answer",
    "BareResponder",
    "ByteTokenizer",
    "Costs",
    "Cut",
    "FakeOptions",
    "FakeServer",
    "Fault",
    "FaultPlan",
    "Garbage",
    "HubTokenizer",
    "Late",
    "NeverAnswer",
    "QueueFull",
    "Raw",
    "RealClock",
    "Refuse",
    "Reset",
    "Rule",
    "ScriptedModel",
    "SeededModel",
    "ServerError",
    "Slow",
    "Stall",
    "TextModel",
    "Tokenizer",
    "Version",
    "VirtualClock",
]
