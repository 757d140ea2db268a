from __future__ import annotations

import pytest
import torch

from recommender_ref.data import World, generate
from recommender_ref.model import Model
from recommender_ref.variants import plans

DEPTH = 4


@pytest.fixture(scope="session")
def world() -> World:
    return generate(seed=3, users=300, items=500)


@pytest.fixture(scope="session")
def model(world: World) -> Model:
    torch.set_num_threads(1)
    fitted = Model(world, "cpu", seed=3)
    fitted.fit(list(plans(DEPTH).values()))
    return fitted
