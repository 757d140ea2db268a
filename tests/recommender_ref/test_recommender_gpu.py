"""The recommender on a real GPU; skipped by name where there is none."""

from __future__ import annotations

import asyncio

import httpx
import numpy as np
import pytest

from recommender_ref.data import STEPS, World
from recommender_ref.faults import BadFault
from recommender_ref.model import LISTED, Model
from recommender_ref.service import Recommender
from recommender_ref.serving import create_app
from recommender_ref.variants import plans
from tests.recommender_ref.conftest import DEPTH


def test_a_gpu_gives_the_answers_of_a_processor(world: World, model: Model, model_on_gpu: Model) -> None:
    rng = np.random.default_rng(9)
    users, steps = rng.integers(world.users, size=200).tolist(), rng.integers(STEPS, size=200).tolist()
    for plan in plans(DEPTH).values():
        here, there = model.answer(users, steps, plan), model_on_gpu.answer(users, steps, plan)
        shared = [len(set(a) & set(b)) / LISTED for a, b in zip(here.items.tolist(), there.items.tolist(), strict=True)]
        assert np.mean(shared) > 0.98
        assert np.abs(here.scores - there.scores).max() < 0.02


def test_a_real_gpu_is_read_elsewhere_and_its_clock_left_alone(world: World, model_on_gpu: Model) -> None:
    async def asked() -> tuple[httpx.Response, dict[str, object]]:
        recommender = Recommender(world, model_on_gpu, DEPTH)
        app = create_app(recommender)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://recommender") as client:
                answer = await client.post("/recommend", json={"user_id": 7, "k": 5})
                assert len(answer.json()["items"]) == 5
                with pytest.raises(BadFault, match="this one is real"):
                    recommender.begin_fault("throttle", 0.0, 1.0, None)
                return await client.get("/gpu/metrics"), (await client.get("/health")).json()

    page, health = asyncio.run(asked())
    assert page.status_code == 404
    assert "NVML" in page.json()["detail"]
    assert str(health["device"]).startswith("cuda")
