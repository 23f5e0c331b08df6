from __future__ import annotations

import copy
import pickle

import pytest

import ets_client
from ets_client import (
    Attempt,
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    EtsClientError,
    FailureKind,
    InvalidRequestError,
    RequestError,
    RequestRejectedError,
    ServerBusyError,
    ServerFaultError,
    ServerUnreachableError,
    UnsupportedError,
    errors,
)

REQUEST_ERRORS = [
    RequestRejectedError,
    AuthenticationError,
    ServerBusyError,
    ServerFaultError,
    ServerUnreachableError,
    DeadlineExceededError,
]
BUSY = Attempt(("a", "b", "c"), FailureKind.BUSY, "busy: the queue is full", 503, 0.1)
LOST = Attempt(("a", "b", "c"), FailureKind.CONNECT, "connect: nobody", 503, 0.1)


@pytest.mark.parametrize("kind", [RequestError, *REQUEST_ERRORS])
def test_a_request_error_survives_pickling_with_all_it_carries(kind: type[RequestError]) -> None:
    error = kind("no answer", rids=("a", "b"), status=503, body="full", attempts=(BUSY, BUSY))
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert str(again) == str(error)
        assert (again.message, again.rids, again.status, again.body, again.attempts) == (
            "no answer",
            ("a", "b"),
            503,
            "full",
            (BUSY, BUSY),
        )


def test_a_refused_argument_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(InvalidRequestError("n", 0, "more")))
    assert (again.argument, again.given, again.allowed) == ("n", 0, "more")
    assert str(again) == "n = 0 is not possible: more"


def test_a_feature_that_is_missing_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(UnsupportedError("abort()", "a router has none")))
    assert (again.feature, again.reason) == ("abort()", "a router has none")
    assert str(again) == "abort() is not possible here: a router has none"
    assert not isinstance(again, RequestError)


def test_the_tree_says_what_the_caller_can_do() -> None:
    assert issubclass(RequestError, EtsClientError)
    assert all(issubclass(kind, RequestError) for kind in REQUEST_ERRORS)
    assert issubclass(InvalidRequestError, EtsClientError)
    assert issubclass(InvalidRequestError, ValueError)
    assert issubclass(ConfigurationError, EtsClientError)
    assert issubclass(ConfigurationError, ValueError)
    assert issubclass(DeadlineExceededError, TimeoutError)
    assert not issubclass(InvalidRequestError, RequestError)


def test_the_tree_in_the_documentation_holds_every_error() -> None:
    tree = errors.__doc__ or ""
    found = [name for name in errors.__all__ if name.endswith("Error")]
    assert [name for name in found if name not in tree] == []
    assert all(getattr(ets_client, name) is getattr(errors, name) for name in found)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RequestError("broken"), "broken"),
        (RequestError("broken", rids=("a",)), "broken (rid a)"),
        (RequestError("broken", rids=("a", "b", "c"), status=500), "broken (rid a and 2 more; status 500)"),
        (RequestError("broken", attempts=(BUSY,)), "broken"),
        (RequestError("broken", attempts=(BUSY, BUSY)), "broken (2 attempts)"),
        (RequestError("broken", attempts=(BUSY, LOST)), "broken (2 attempts, first: busy: the queue is full)"),
    ],
)
def test_the_message_names_request_status_and_history(error: RequestError, words: str) -> None:
    assert str(error) == words


def test_the_body_is_not_part_of_the_message() -> None:
    assert "secret" not in str(RequestError("broken", body="secret"))
