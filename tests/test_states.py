import numpy as np
import pytest

from clo_gen.states import DELINQUENCY, RATING, SPACES


@pytest.mark.parametrize("space", SPACES.values(), ids=lambda s: s.name)
def test_last_three_states_absorb(space):
    for state in (space.default, space.prepaid, space.matured):
        assert np.flatnonzero(space.mask[state]).tolist() == [state]


def test_delinquency_worsens_one_bucket_at_a_time_and_cures():
    allowed = DELINQUENCY.mask
    performing, dpd30, dpd60, dpd90 = range(4)
    assert allowed[performing, dpd30] and not allowed[performing, dpd60]
    assert allowed[dpd90, performing]
    assert allowed[dpd90, DELINQUENCY.default] and not allowed[dpd60, DELINQUENCY.default]


def test_worse_means_a_lower_rating_or_default():
    worse = RATING.worse
    assert worse[RATING.index("BB"), RATING.index("B")]
    assert worse[RATING.index("BB"), RATING.default]
    assert not worse[RATING.index("BB"), RATING.index("BBB")]
    assert not worse[RATING.index("BB"), RATING.prepaid]
    assert not worse[RATING.default].any()
