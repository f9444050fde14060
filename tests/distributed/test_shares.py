"""Every process takes its share, and together they take each row once."""

import numpy as np
import pytest

from headstart.distributed.processes import Team
from headstart.distributed.shares import Share

CASES = [(processes, local, full) for processes in (1, 2, 3, 5) for local in (1, 2, 4) for full in (1, 2, 6, 7, 32)]


@pytest.mark.parametrize(("processes", "local", "full"), CASES)
def test_all_processes_together_give_every_row_of_a_batch_once_and_then_copies_of_the_last(processes, local, full):
    for rows in range(1, full + 1):
        shares = [Share(Team(number, processes), processes * local, full) for number in range(processes)]
        given = [share.rows(rows) for share in shares]
        assert len({len(one) for one in given}) == 1
        assert len(given[0]) % local == 0, "every device takes as many"
        whole = np.concatenate(given)
        assert len(whole) == shares[0].filled_up(rows)
        assert whole[:rows].tolist() == list(range(rows))
        assert set(whole[rows:]) <= {rows - 1}


@pytest.mark.parametrize(("processes", "local", "full"), CASES)
def test_the_rows_of_a_filled_up_batch_say_how_many_are_real(processes, local, full):
    share = Share(Team(0, processes), processes * local, full)
    for pictures in range(1, 3 * full + 2):
        sizes = [min(full, pictures - start) for start in range(0, pictures, full)]
        real = share.real(pictures)
        assert [real[share.filled_up(size)] for size in sizes] == sizes


def test_one_process_with_one_device_gives_a_batch_as_it_is():
    assert Share(full=8).rows(5).tolist() == [0, 1, 2, 3, 4]
    assert Share(full=8).real(21) == {8: 8, 5: 5}
