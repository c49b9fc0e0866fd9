"""Processes of a run that wait for each other, and end together."""

import threading
import time

import pytest

from clo_gen.io.problems import InputError, Interrupted, WriteError
from clo_gen.jobs import hosts
from clo_gen.jobs.hosts import Hosts


class Store:
    """What JAX's distributed client does with keys, in one process."""

    def __init__(self):
        self.values = {}

    def key_value_set(self, key, value, allow_overwrite=False):
        if key in self.values and not allow_overwrite:
            raise RuntimeError("ALREADY_EXISTS")
        self.values[key] = value

    def key_value_dir_get(self, folder):
        return [(k, v) for k, v in self.values.items() if k.startswith(folder)]


@pytest.fixture
def three():
    store = Store()
    return [Hosts(i, 3, store) for i in range(3)]


def test_a_process_waits_for_the_last_one(three):
    came, waiting = [], [threading.Thread(target=lambda h=h: (h.wait(), came.append(h.process)))
                         for h in three[:2]]
    for thread in waiting:
        thread.start()
    time.sleep(3 * hosts.LOOK)
    assert not came
    three[2].wait()
    for thread in waiting:
        thread.join(timeout=5)
    assert sorted(came) == [0, 1]
    with pytest.raises(InputError), three[2].together():  # the next wait is another one
        raise InputError("no file")
    with pytest.raises(InputError, match="process 2: no file"):
        three[0].wait()


@pytest.mark.parametrize("ended,kind,words", [
    (InputError("tape: 1 problem"), InputError, "process 1: tape: 1 problem"),
    (WriteError("disk full; go on with x"), WriteError, "process 1: disk full; go on with x"),
    (Interrupted("go on with x"), Interrupted, "process 1: interrupted: go on with x"),
    (KeyboardInterrupt(), Interrupted, "process 1: interrupted"),
    (ZeroDivisionError("division"), Interrupted, "process 1: ZeroDivisionError: division"),
])
def test_what_ends_one_process_ends_the_others(three, ended, kind, words):
    assert three[0].news() is None
    with pytest.raises(type(ended)), three[1].together():
        raise ended
    with pytest.raises(kind) as heard, three[0].together():
        three[0].wait()
    assert str(heard.value) == words
    assert str(three[2].news()) == words  # of the first that ended, not of those that heard it


def test_one_process_waits_for_nobody():
    alone = Hosts()
    alone.wait()
    with pytest.raises(ZeroDivisionError), alone.together():
        raise ZeroDivisionError
    assert alone.news() is None


@pytest.mark.parametrize("place", ["nonsense", "host", "host:", ":9876", "host:99999", "host:abc"])
def test_a_coordinator_is_a_host_and_a_port(place):
    with pytest.raises(InputError, match=f"--coordinator {place}: want host:port"):
        hosts.join(place, 0, 2)
