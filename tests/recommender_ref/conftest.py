from __future__ import annotations

import pytest
import torch

from recommender_ref.data import World, generate
from recommender_ref.model import Model
from recommender_ref.variants import plans
from tests.conftest import require

DEPTH = 4


@pytest.fixture(scope="session")
def world() -> World:
    return generate(seed=3, users=300, items=500)


@pytest.fixture(scope="session")
def model(world: World) -> Model:
    torch.set_num_threads(1)
    return fitted(world, "cpu")


@pytest.fixture(scope="session")
def model_on_gpu(world: World) -> Model:
    require("gpu", torch.cuda.is_available(), "PyTorch finds no CUDA device on this machine")
    return fitted(world, "cuda")


def fitted(world: World, device: str) -> Model:
    model = Model(world, device, seed=3)
    model.fit(list(plans(DEPTH).values()))
    return model
