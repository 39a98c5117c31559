"""When a failing peer is left alone, on a clock that tests move by hand."""

from router_proxy.upstreams.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened_breaker(clock: Clock) -> Breaker:
    breaker = Breaker(failures=3, pause_seconds=2, clock=clock)
    for _ in range(3):
        breaker.failed()
    return breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(failures=3, pause_seconds=2)

    breaker.failed()
    breaker.failed()

    assert breaker.admits()
    breaker.failed()
    assert breaker.is_open
    assert not breaker.admits()


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = Breaker(failures=2, pause_seconds=2)

    breaker.failed()
    breaker.succeeded()
    breaker.failed()

    assert breaker.admits()


def test_one_try_per_pause_is_let_through() -> None:
    clock = Clock()
    breaker = opened_breaker(clock)

    clock.now += 2
    first_pause = [breaker.admits() for _ in range(3)]
    clock.now += 2
    second_pause = [breaker.admits() for _ in range(3)]

    assert first_pause == second_pause == [True, False, False]


def test_a_try_that_succeeds_closes_it() -> None:
    clock = Clock()
    breaker = opened_breaker(clock)

    clock.now += 2
    assert breaker.admits()
    breaker.succeeded()

    assert all(breaker.admits() for _ in range(3))


def test_a_try_that_fails_keeps_it_open() -> None:
    clock = Clock()
    breaker = opened_breaker(clock)

    clock.now += 2
    assert breaker.admits()
    breaker.failed()

    assert not breaker.admits()
