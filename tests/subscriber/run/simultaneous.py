"""Runs jobs at the same time in simulated time: the job that wakes first continues, alone."""

import threading
from collections.abc import Callable
from typing import Any

from tests.subscriber.fake_aws import FakeAws


class Simultaneous:
    """Takes turns between jobs at each of their calls and sleeps, always in the same order."""

    def __init__(self, fake: FakeAws) -> None:
        self._fake = fake
        self._turn = threading.Condition()
        self._wakes: dict[int, float] = {}
        self._me = threading.local()
        self.answers: dict[int, Any] = {}

    def run(self, *jobs: tuple[float, Callable[[], Any]]) -> list[Any]:
        """Start each job after so many seconds; give their answers, or what they raised."""
        begin = self._fake.time
        self._wakes = {number: begin + after for number, (after, _) in enumerate(jobs)}
        self._fake.advance = self._advance
        threads = [
            threading.Thread(target=self._work, args=(number, job))
            for number, (_, job) in enumerate(jobs)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._fake.advance = self._fake.pass_time
        return [self.answers[number] for number in range(len(jobs))]

    def _work(self, number: int, job: Callable[[], Any]) -> None:
        self._me.number = number
        self._wait_for_turn()
        try:
            self.answers[number] = job()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.answers[number] = error
        with self._turn:
            del self._wakes[number]
            self._turn.notify_all()

    def _advance(self, seconds: float) -> None:
        with self._turn:
            self._wakes[self._me.number] = self._fake.time + seconds
            self._turn.notify_all()
        self._wait_for_turn()

    def _wait_for_turn(self) -> None:
        number = self._me.number
        with self._turn:
            self._turn.wait_for(lambda: min(self._wakes, key=self._order) == number)
            self._fake.pass_time(max(0.0, self._wakes[number] - self._fake.time))

    def _order(self, number: int) -> tuple[float, int]:
        return self._wakes[number], number
