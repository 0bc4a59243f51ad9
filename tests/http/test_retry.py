"""What is repeated, as a table."""

from __future__ import annotations

import pytest

from kantata_client._http.retry import RetryPolicy, decide
from kantata_client.errors import UsageError

POLICY = RetryPolicy()
SAFE, WRITES = ("GET", "HEAD", "PUT", "DELETE"), ("POST", "PATCH")


@pytest.mark.parametrize("method", SAFE + WRITES)
def test_requests_that_were_certainly_not_carried_out_are_repeated(method):
    assert decide(POLICY, method, "unsent", 1) == "retry"
    assert decide(POLICY, method, "unsent", POLICY.retries + 1) == "fail"
    assert decide(POLICY, method, "unsent", 1, replayable=False) == "fail"


@pytest.mark.parametrize("method", SAFE + WRITES)
def test_a_429_does_not_count_as_an_attempt(method):
    assert decide(POLICY, method, 429, 1) == "retry"
    assert decide(POLICY, method, 429, 1_000) == "retry"
    assert decide(POLICY, method, 429, 1, replayable=False) == "fail"
    assert decide(RetryPolicy(retries=0), method, 429, 1) == "fail"
    assert decide(RetryPolicy(statuses=frozenset({503})), method, 429, 1) == "fail"


@pytest.mark.parametrize("status", [408, 425, 500, 520, 521, 522, 523, 524, 530])
def test_reads_are_repeated_after_more_statuses_than_writes(status):
    assert {decide(POLICY, method, status, 1) for method in ("GET", "HEAD")} == {"retry"}
    assert decide(POLICY, "GET", status, POLICY.retries + 1) == "fail"
    assert {decide(POLICY, method, status, 1) for method in ("PUT", "DELETE")} == {"fail"}
    assert decide(POLICY, "POST", status, 1) == ("fail" if status < 500 else "unknown")


def test_retry_after_is_capped():
    assert POLICY.delay(1, 1e12) == 3600
    assert POLICY.delay(1, float("inf")) == 3600
    assert RetryPolicy(longest_pause=10).delay(1, 30.0) == 10
    assert POLICY.delay(1, 30.0) == 30


def test_a_policy_is_not_a_tuple():
    assert RetryPolicy() != (5, 0.5, 30.0, 300.0, RetryPolicy().statuses)
    assert RetryPolicy() == RetryPolicy(retries=4)
    with pytest.raises(TypeError):
        tuple(RetryPolicy())


@pytest.mark.parametrize("outcome", ["lost", 502, 503, 504])
def test_requests_that_may_have_been_carried_out_are_repeated_only_if_idempotent(outcome):
    assert {decide(POLICY, method, outcome, 1) for method in SAFE} == {"retry"}
    assert {decide(POLICY, method, outcome, POLICY.retries + 1) for method in SAFE} == {"fail"}
    for attempt in (1, POLICY.retries + 1):
        assert {decide(POLICY, method, outcome, attempt) for method in WRITES} == {"unknown"}


@pytest.mark.parametrize("status", [307, 308, 400, 401, 403, 404, 409, 413, 422])
def test_rejections_are_final(status):
    assert {decide(POLICY, method, status, 1) for method in SAFE + WRITES} == {"fail"}


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304])
def test_a_redirect_after_a_write_means_an_unknown_outcome(status):
    assert {decide(POLICY, method, status, 1) for method in SAFE} == {"fail"}
    assert {decide(POLICY, method, status, 1) for method in WRITES} == {"unknown"}


@pytest.mark.parametrize("outcome", ["lost", 302, 500, 502, 503, 504])
def test_an_action_is_repeated_like_a_post(outcome):
    assert decide(POLICY, "PUT", outcome, 1, action=True) == "unknown"
    assert decide(POLICY, "PUT", "unsent", 1, action=True) == "retry"
    assert decide(POLICY, "PUT", 429, 1, action=True) == "retry"
    assert decide(POLICY, "PUT", 422, 1, action=True) == "fail"


@pytest.mark.parametrize("status", [505, 599, 200])
def test_a_server_error_after_a_post_means_an_unknown_outcome(status):
    # 200 stands for an answer whose body was cut off.
    assert decide(POLICY, "POST", status, 1) == "unknown"
    assert decide(POLICY, "GET", status, 1) == "fail"


def test_a_501_means_that_nothing_was_done():
    assert {decide(POLICY, method, 501, 1) for method in SAFE + WRITES} == {"fail"}


def test_no_policy_repeats_a_post_with_an_unknown_outcome():
    eager = RetryPolicy(retries=98, statuses=frozenset(range(600)))
    assert {decide(eager, "POST", outcome, 1) for outcome in ("lost", 500, 502, 503, 504)} == {"unknown"}


def test_delays_double_with_jitter_up_to_a_maximum():
    longest = [POLICY.delay(attempt, uniform=lambda low, high: high) for attempt in range(1, 10)]
    assert longest == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert POLICY.delay(3, uniform=lambda low, high: low) == 0
    assert POLICY.delay(10_000, uniform=lambda low, high: high) == 30
    assert all(0 <= POLICY.delay(2) <= 1 for _ in range(100))


def test_retry_after_can_lengthen_the_delay():
    assert POLICY.delay(1, 120) == 120
    assert POLICY.delay(5, 1, lambda low, high: high) == 8


@pytest.mark.parametrize("change", [{"retries": -1}, {"initial": -1}, {"deadline": -1}])
def test_an_invalid_policy_is_rejected(change):
    with pytest.raises(UsageError):
        RetryPolicy(**change).check()
