"""Which process this is, and what one says that has no others."""

import pytest

from headstart.distributed.processes import ADDRESSES, ALONE, COUNT, NUMBER, Team, asked_for, speaks
from headstart.errors import DataError, InputError, LostProcessError


def test_the_environment_says_which_process_this_is():
    assert asked_for({}) == ALONE
    assert asked_for({COUNT: "1", NUMBER: "0"}) == ALONE
    assert asked_for({ADDRESSES: "node1:1234", COUNT: "4", NUMBER: "3"}) == Team(3, 4)
    assert Team(0, 4).is_first
    assert not Team(3, 4).is_first


@pytest.mark.parametrize(("number", "count"), [("4", "4"), ("-1", "4"), ("x", "4"), ("0", "many"), ("0", "0")])
def test_impossible_numbers_are_refused_in_one_line(number, count):
    with pytest.raises(InputError) as refused:
        asked_for({ADDRESSES: "node1:1234", COUNT: count, NUMBER: number})
    assert str(refused.value) == (
        f"KERAS_DISTRIBUTION_NUM_PROCESSES is {count!r} and KERAS_DISTRIBUTION_PROCESS_ID is {number!r}; one is the "
        "number of processes, the other lies from 0 to that minus 1."
    )


def test_half_an_environment_is_refused_with_what_is_missing():
    with pytest.raises(InputError) as refused:
        asked_for({COUNT: "2", NUMBER: "1"})
    assert str(refused.value) == (
        "KERAS_DISTRIBUTION_NUM_PROCESSES is 2, and KERAS_DISTRIBUTION_JOB_ADDRESSES is not set. `headstart launch` "
        "sets all of them; where something else starts the processes, it has to."
    )


def test_only_the_first_of_several_speaks(monkeypatch):
    for name in (ADDRESSES, COUNT, NUMBER):
        monkeypatch.delenv(name, raising=False)
    assert speaks()
    monkeypatch.setenv(COUNT, "2")
    assert speaks()
    monkeypatch.setenv(NUMBER, "1")
    assert not speaks()


def test_alone_nothing_is_asked_of_anybody():
    assert ALONE.of_all({"a": 1}) == [{"a": 1}]
    assert [ALONE.any(flag) for flag in (True, False)] == [True, False]
    done = []
    assert ALONE.in_turn(lambda: done.append(1) or 7) == 7
    assert done == [1]
    with pytest.raises(DataError, match="as it was"), ALONE.together():
        raise DataError("as it was")


def test_what_a_backend_says_of_a_lost_process_becomes_one_sentence():
    lost = ValueError("UNKNOWN: Gloo AllGather failed: Connection closed by peer [127.0.0.1]:6038")
    with pytest.raises(LostProcessError) as said, Team(1, 2).not_alone():
        raise lost
    assert str(said.value) == (
        "process 1 of 2 has lost another one, which has ended or cannot be reached, so it ends, too. "
        "`headstart train --resume RUN`, with as many processes as you like, goes on from the last epoch."
    )
    for team, error in ((ALONE, lost), (Team(1, 2), ValueError("something else"))):
        with pytest.raises(ValueError, match="Gloo|else"), team.not_alone():
            raise error
