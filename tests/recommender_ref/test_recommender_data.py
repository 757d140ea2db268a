from __future__ import annotations

import numpy as np
import pytest

from recommender_ref.data import HISTORY, STEPS, World, generate


@pytest.fixture(scope="module")
def big() -> World:
    return generate(seed=1, users=1000)


def test_same_seed_same_world_other_seed_other_world() -> None:
    first, again, other = (generate(seed, users=50, items=100) for seed in (1, 1, 2))
    assert np.array_equal(first.timeline, again.timeline)
    assert not np.array_equal(first.timeline, other.timeline)


def test_clicks_fall_off_as_zipf(big: World) -> None:
    counts = np.sort(np.bincount(big.timeline.ravel(), minlength=len(big.factors)))[::-1]
    ranks = np.arange(1, len(counts) + 1)
    middle = slice(10, 800)
    slope = np.polyfit(np.log(ranks[middle]), np.log(counts[middle]), 1)[0]
    assert -1.4 < slope < -0.7


def test_users_click_what_they_like(big: World) -> None:
    rng = np.random.default_rng(0)
    own = np.einsum("uf,uf->u", big.taste, big.factors[big.timeline[:, 0]]).mean()
    shuffled = np.einsum("uf,uf->u", big.taste[rng.permutation(big.users)], big.factors[big.timeline[:, 0]]).mean()
    assert own > shuffled + 0.3


def test_a_session_drifts_and_recent_clicks_tell_more_than_old_ones(big: World) -> None:
    now = big.session[:, HISTORY + STEPS - 1]
    near, far = (np.einsum("uf,uf->u", now, big.session[:, HISTORY + STEPS - 1 - back]).mean() for back in (1, 40))
    assert near > far + 0.1
    assert far > 0.3


def test_items_of_a_category_are_alike(big: World) -> None:
    alike = big.factors @ big.factors.T
    same = big.category[:, None] == big.category[None, :]
    np.fill_diagonal(same, val=False)
    assert alike[same].mean() > alike[~same].mean() + 0.5


def test_affinity_is_the_cosine_to_the_taste_of_the_next_click(world: World) -> None:
    affinity = world.affinity(7, 5)
    assert affinity[11] == pytest.approx(float(world.factors[11] @ world.session[7, 5 + HISTORY]))
    assert np.abs(affinity).max() <= 1.0 + 1e-6
