from __future__ import annotations

import numpy as np
import pytest
import torch

from recommender_ref.data import STEPS, World
from recommender_ref.model import LISTED, Model, recall, rerank
from recommender_ref.quality import ShadowSample, ndcg
from recommender_ref.sizing import depth_for
from recommender_ref.variants import Plan, plans

V1, V2 = (plans(4)[version, "full"] for version in ("v1", "v2"))


def questions(world: World, count: int) -> tuple[list[int], list[int]]:
    rng = np.random.default_rng(9)
    return rng.integers(world.users, size=count).tolist(), rng.integers(STEPS, size=count).tolist()


def quality(world: World, model: Model, plan: Plan) -> float:
    users, steps = questions(world, 200)
    ranked = model.answer(users, steps, plan)
    rows = zip(users, steps, ranked.items, strict=True)
    return float(np.mean([ndcg(items[:10], world.affinity(user, step)) for user, step, items in rows]))


def test_recall_is_brute_force() -> None:
    draw = torch.Generator().manual_seed(1)
    user, items = torch.randn(5, 8, generator=draw), torch.randn(8, 200, generator=draw)
    expected = [sorted(range(200), key=lambda item: -float(one @ items[:, item]))[:10] for one in user]
    assert recall(user, items, 10).tolist() == expected


def test_rerank_charges_for_every_better_item_of_the_same_category() -> None:
    scores = torch.tensor([[1.0, 0.9, 0.8, 0.7, 0.6]])
    category = torch.tensor([[0, 0, 0, 1, 2]])
    order, final = rerank(scores, category, listed=3, cost=0.25)
    assert order.tolist() == [[0, 3, 1]]
    assert final[0].tolist() == pytest.approx([1.0, 0.7, 0.65])


def test_rerank_without_a_cost_sorts_by_score() -> None:
    order, _ = rerank(torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([[0, 0, 0]]), listed=3, cost=0.0)
    assert order.tolist() == [[1, 2, 0]]


def test_a_batch_gives_the_answers_of_single_requests(world: World, model: Model) -> None:
    users, steps = questions(world, 16)
    together = model.answer(users, steps, V1)
    for row, (user, step) in enumerate(zip(users, steps, strict=True)):
        alone = model.answer([user], [step], V1)
        assert np.allclose(alone.scores[0], together.scores[row], atol=1e-4)
        assert len(set(alone.items[0].tolist()) & set(together.items[row].tolist())) >= LISTED - 1


def test_a_slowed_down_ranker_gives_the_same_answers(world: World, model: Model) -> None:
    users, steps = questions(world, 4)
    assert np.array_equal(model.answer(users, steps, V1).items, model.answer(users, steps, V1, slowdown=2.5).items)


def test_ranked_answers_beat_recall_alone_and_random_by_far(world: World, model: Model) -> None:
    users, steps = questions(world, 200)
    rng = np.random.default_rng(2)
    truths = [world.affinity(user, step) for user, step in zip(users, steps, strict=True)]
    random = np.mean([ndcg(rng.choice(len(world.factors), 10, replace=False), truth) for truth in truths])
    recalled = recall(model._user[torch.tensor(users)], model._item, 10).numpy()
    by_recall = np.mean([ndcg(items, truth) for items, truth in zip(recalled, truths, strict=True)])
    assert quality(world, model, V1) > by_recall + 0.02
    assert by_recall > 2 * random


def test_versions_are_of_one_quality_and_the_light_variant_is_not_better(world: World, model: Model) -> None:
    full = quality(world, model, V1)
    assert quality(world, model, V2) == pytest.approx(full, abs=0.05)
    assert quality(world, model, plans(4)["v1", "light"]) < full + 0.01


def test_a_spoilt_model_loses_quality(world: World, model: Model) -> None:
    spoilt = Model(world, "cpu", seed=4)
    spoilt._readout[V1] = -model._readout[V1]
    assert quality(world, spoilt, V1) < quality(world, model, V1) - 0.1


def test_the_weights_exceed_a_processors_caches(model: Model) -> None:
    assert model.weight_bytes > 64 * 2**20


def test_a_block_takes_some_time(model: Model) -> None:
    assert model.block_seconds() > 0.0


@pytest.mark.parametrize(("block_seconds", "depth"), [(1e-6, 64), (1.0, 4), (0.0008, 7)])
def test_depth_follows_the_machine_within_bounds(block_seconds: float, depth: int) -> None:
    assert depth_for(block_seconds) == depth


def test_shadow_sample_judges_some_answers_and_forgets_old_ones(world: World) -> None:
    shadow = ShadowSample(world, every=2)
    assert np.isnan(shadow.mean_ratio())
    best = np.argsort(-world.affinity(1, 1))[:10]
    for _ in range(2):
        shadow.offer(1, 1, best)
    assert shadow.mean_ratio() == pytest.approx(1.0)
    for _ in range(400):
        shadow.offer(1, 1, best[::-1])
    assert shadow.mean_ratio() == pytest.approx(ndcg(best[::-1], world.affinity(1, 1)))
    assert shadow.mean_ratio() < 1.0
