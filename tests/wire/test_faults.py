from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ets_client import FailureKind
from ets_client._wire.faults import read_fault


def e4(status: int, message: str) -> bytes:
    shape = {"object": "error", "message": message, "type": str(status), "param": None, "code": status}
    return json.dumps(shape).encode()


E1 = b'{"object":"error","message":"1 validation error","type":"Bad Request","param":null,"code":400}'
E2 = b'{"error":{"message":"The input is longer than the model\'s context length"}}'
E3 = b'{"error":"unknown field max_tokens"}'
E5 = b"Internal Server Error"
E7 = b'{"error":{"message":"too long","type":"invalid_request_error","code":400,"retryable":false}}'
E8 = b'{"detail":"Not Found"}'


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, E1, FailureKind.REJECTED, "1 validation error"),
        (400, E2, FailureKind.REJECTED, "The input is longer than the model's context length"),
        (400, E3, FailureKind.REJECTED, "unknown field max_tokens"),
        (401, b'{"error":"Unauthorized"}', FailureKind.AUTHENTICATION, "Unauthorized"),
        (403, b'{"error":"Forbidden"}', FailureKind.AUTHENTICATION, "Forbidden"),
        (503, e4(503, "The request queue is full."), FailureKind.BUSY, "The request queue is full."),
        (
            503,
            e4(503, "aborted by a higher priority"),
            FailureKind.BUSY,
            "aborted by a higher priority",
        ),
        (
            503,
            e4(503, "Using priority is disabled for this server."),
            FailureKind.REJECTED,
            "Using priority is disabled for this server.",
        ),
        (500, e4(500, "out of KV cache memory"), FailureKind.FAULT, "out of KV cache memory"),
        (500, E5, FailureKind.CRASH, "Internal Server Error"),
        (503, b"", FailureKind.BUSY, "no explanation"),
        (400, E7, FailureKind.REJECTED, "too long"),
        (404, E8, FailureKind.REJECTED, "Not Found"),
        (405, b'{"detail":"Method Not Allowed"}', FailureKind.REJECTED, "Method Not Allowed"),
        (429, b"slow down", FailureKind.BUSY, "slow down"),
        (408, b"", FailureKind.BUSY, "no explanation"),
        (425, b"too early", FailureKind.BUSY, "too early"),
        (400, b'{"detail":[{"msg":"bad"}]}', FailureKind.REJECTED, '{"detail":[{"msg":"bad"}]}'),
        (502, b"<html>Bad Gateway</html>", FailureKind.BUSY, "<html>Bad Gateway</html>"),
        (504, b"", FailureKind.BUSY, "no explanation"),
        (307, b"", FailureKind.REJECTED, "no explanation"),
        (500, b'["a list"]', FailureKind.FAULT, '["a list"]'),
        (500, b'{"error":{"code":1},"message":"","detail":[1]}', FailureKind.FAULT, ""),
        (500, b"\xff\xfe", FailureKind.FAULT, "\ufffd\ufffd"),
    ],
)
def test_each_shape_of_error_body_is_understood(status: int, body: bytes, kind: FailureKind, message: str) -> None:
    fault = read_fault(status, body)
    assert fault.kind is kind
    assert fault.message == message or (not message and fault.message == body.decode())


def test_the_body_and_the_message_are_kept_within_bounds() -> None:
    fault = read_fault(400, json.dumps({"error": {"message": "x" * 100_000}}).encode())
    assert len(fault.body) == 4096
    assert len(fault.message) == 1001


@given(status=st.integers(300, 599), body=st.binary(max_size=200))
def test_any_status_and_any_bytes_are_some_fault(status: int, body: bytes) -> None:
    fault = read_fault(status, body)
    assert fault.message
    assert fault.kind not in {FailureKind.CONNECT, FailureKind.DISCONNECT, FailureKind.GIVEN_UP}
