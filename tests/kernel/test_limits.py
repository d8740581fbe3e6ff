"""What one caller may ask for: the arithmetic, and the door that asks it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import Exhausted
from kernel.limits import Buckets, Limits, Places, Rates, host_of

ADA = "users/ada"


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    buckets = Buckets(per_second=10, burst=5)
    assert [buckets.take(ADA, 100.0) for _ in range(5)] == [0.0] * 5
    assert buckets.take(ADA, 100.0) == pytest.approx(0.1)
    assert buckets.take(ADA, 100.05) == pytest.approx(0.05)
    assert buckets.take(ADA, 100.1001) == 0.0
    assert buckets.take(ADA, 100.1001) > 0
    assert buckets.take("users/bob", 100.0) == 0.0


def test_no_rate_is_no_limit_and_keeps_nothing() -> None:
    buckets = Buckets(per_second=0, burst=1)
    assert all(buckets.take(ADA, 0.0) == 0.0 for _ in range(10_000))
    assert len(buckets) == 0


@given(
    per_second=st.floats(0.1, 10_000),
    burst=st.integers(1, 1000),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
def test_never_more_than_the_burst_and_what_was_refilled(per_second: float, burst: int, pauses: list[float]) -> None:
    buckets, now, taken = Buckets(per_second, burst), 1000.0, 0
    for pause in pauses:
        now += pause
        wait = buckets.take(ADA, now)
        assert wait >= 0
        taken += not wait
        assert taken <= burst + per_second * (now - 1000.0) + 1e-3


@given(per_second=st.floats(0.1, 10_000), burst=st.integers(1, 100))
def test_after_the_wait_that_was_told_there_is_a_token(per_second: float, burst: int) -> None:
    buckets, now = Buckets(per_second, burst), 1000.0
    while not (wait := buckets.take(ADA, now)):
        pass
    assert buckets.take(ADA, now + wait + 1e-6) == 0.0


def test_the_number_of_buckets_is_bounded_and_a_busy_one_is_kept() -> None:
    buckets = Buckets(per_second=1, burst=1, most=100)
    assert buckets.take(ADA, 0.0) == 0.0
    for number in range(10_000):
        buckets.take(f"users/u{number}", 0.0)
        assert buckets.take(ADA, 0.0) > 0
    assert len(buckets) == 100


def test_places_come_back() -> None:
    places = Places(2)
    assert [places.take(ADA) for _ in range(3)] == [True, True, False]
    assert places.take("users/bob")
    places.leave(ADA)
    assert places.take(ADA)
    for _ in range(2):
        places.leave(ADA)
    assert places.held(ADA) == 0


def test_streams_and_calls_have_places_of_their_own() -> None:
    limits = Limits(Rates(calls_at_once=1, streams_at_once=1))
    leave = limits.enter(ADA, 0.0, streaming=True)
    limits.enter(ADA, 0.0, streaming=False)
    refused(limits, ADA, streaming=False, reason="TOO_MANY_CALLS")
    assert refused(limits, ADA, streaming=True, reason="TOO_MANY_STREAMS").retry_seconds == 0
    leave(ADA)
    limits.enter(ADA, 0.0, streaming=True)


def test_who_is_over_the_rate_is_told_when_to_come_back() -> None:
    limits = Limits(Rates(calls_per_second=4, calls_burst=1))
    limits.enter(ADA, 0.0, streaming=False)
    refusal = refused(limits, ADA, streaming=False, reason="RATE_LIMITED")
    assert refusal.retry_seconds == pytest.approx(0.25)
    assert "0.250 s" in refusal.message


def refused(limits: Limits, principal: str, *, reason: str, **options: Any) -> Exhausted:
    with pytest.raises(Exhausted) as caught:
        limits.enter(principal, 0.0, **options)
    assert caught.value.reason == reason
    return caught.value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ipv4:10.0.0.7:51000", "ipv4:10.0.0.7:51001"),
        ("ipv6:%5B2001:db8::1%5D:51000", "ipv6:%5B2001:db8::ffff%5D:7"),
        ("ipv6:[fe80::1%25eth0]:1", "ipv6:[fe80::2%25eth0]:2"),
        ("unix:", "unix:"),
    ],
)
def test_another_port_is_no_other_stranger(one: str, other: str) -> None:
    limits = Limits(Rates(strangers_per_second=1, strangers_burst=1))
    limits.stranger(one, 0.0)
    with pytest.raises(Exhausted) as caught:
        limits.stranger(other, 0.0)
    assert caught.value.reason == "RATE_LIMITED"


def test_addresses_of_strangers_are_told_apart() -> None:
    assert host_of("ipv4:10.0.0.7:1") != host_of("ipv4:10.0.0.8:1")
    assert host_of("ipv6:[2001:db8::1]:1") != host_of("ipv6:[2001:db8:0:1::1]:1")
    assert host_of("something else") == "something else"
