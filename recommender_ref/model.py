"""Two-tower recall, a Transformer ranker over the user's history, and diversity re-ranking.

The towers are the world's latent factors, seen through noise. The ranker keeps one query a user, which attends to the
clicks of the session in every block (as in Set Transformer's pooling), with per-head recency slopes (ALiBi). Its blocks
are drawn and kept; its readout is fitted in closed form to the taste of the next click (ridge regression, as in
reservoir computing), so its answers are as good as the clicks allow, without hours of training.

Its feed-forward weights exceed the processor's caches and are read once a batch: that is why batching pays, as on a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recommender_ref.data import FACTORS, HISTORY, STEPS, Float32, Int64, World
from recommender_ref.variants import Plan

WIDTH = 512
HIDDEN = 2048
HEADS = 4
BANK = 8
RECALLED = 64
LISTED = 20
"""Items in a full answer; a request may ask for fewer."""

TOWER_NOISE = 1.0
POPULARITY_WEIGHT = 0.02
SAME_CATEGORY_COST = 0.05
FIT_ROWS = 512
RIDGE = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Weights of one block of the ranker, each as (inputs, outputs)."""

    query: Tensor
    mix: Tensor
    widen: Tensor
    narrow: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Answers to a batch, best first: `items` and `scores` are (requests, LISTED); `seconds` is the time of each stage."""

    items: Int64
    scores: Float32
    seconds: Mapping[str, float]


def recall(user: Tensor, items: Tensor, count: int) -> Tensor:
    """Indices of the `count` items of largest product with each user, best first."""
    return (user @ items).topk(count, dim=1).indices


def rerank(scores: Tensor, category: Tensor, listed: int, cost: float = SAME_CATEGORY_COST) -> tuple[Tensor, Tensor]:
    """Positions and scores of the `listed` best, where each better item of its own category costs an item `cost`."""
    order = scores.argsort(dim=1, descending=True)
    kind = category.gather(1, order)
    better_of_kind = (kind.unsqueeze(2) == kind.unsqueeze(1)).tril(-1).sum(2)
    best = (scores.gather(1, order) - cost * better_of_kind).topk(listed, dim=1)
    return order.gather(1, best.indices), best.values


class Model:
    """The recommender's weights and its three stages. Read-only once fitted, so replicas share it."""

    def __init__(self, world: World, device: str = "cpu", seed: int = 0) -> None:
        self.device = torch.device(device)
        self._world = world
        draw = torch.Generator().manual_seed(seed)

        def drawn(rows: int, columns: int, scale: float = 1.0) -> Tensor:
            weights: Tensor = torch.randn(rows, columns, generator=draw) * (scale / rows**0.5)
            return weights.to(self.device)

        noise = torch.randn(world.users, FACTORS, generator=draw) * TOWER_NOISE / FACTORS**0.5
        taste = functional.normalize(torch.from_numpy(world.taste) + noise)
        fame = torch.from_numpy(np.log(world.popularity).astype(np.float32))
        self._user = torch.cat([taste, torch.full((world.users, 1), POPULARITY_WEIGHT)], 1).to(self.device)
        self._factors = torch.from_numpy(world.factors).to(self.device)
        self._item = torch.cat([self._factors, fame[:, None].to(self.device)], 1).t().contiguous()
        self._category = torch.from_numpy(world.category).to(self.device)
        self._timeline = torch.from_numpy(world.timeline).to(self.device)
        self._enter = drawn(FACTORS + 1, WIDTH, scale=2.0)
        self._blocks = [
            Block(
                drawn(WIDTH, HEADS * FACTORS), drawn(HEADS * FACTORS, WIDTH, 4.0), drawn(WIDTH, HIDDEN), drawn(HIDDEN, WIDTH)
            )
            for _ in range(BANK)
        ]
        slopes = torch.tensor([0.0, 0.1, 0.3, 1.0])[:, None]
        self._recency = (slopes * torch.arange(1 - HISTORY, 1)).view(1, HEADS, 1, HISTORY).to(self.device)
        self._readout: dict[Plan, Tensor] = {}

    @property
    def on_gpu(self) -> bool:
        """Whether the model runs on a real GPU."""
        return self.device.type == "cuda"

    @property
    def weight_bytes(self) -> int:
        """Memory that the weights and tables occupy."""
        blocks = [w for b in self._blocks for w in (b.query, b.mix, b.widen, b.narrow)]
        tables = [self._user, self._item, self._factors, self._category, self._timeline, self._enter]
        return sum(t.nbytes for t in (*blocks, *tables, *self._readout.values()))

    @torch.inference_mode()
    def block_seconds(self) -> float:
        """Time that one block takes for a batch of two on this machine, undisturbed: the shortest of several trials."""
        pair, plan = torch.zeros(2, dtype=torch.int64, device=self.device), Plan(2 * BANK, HISTORY)
        trials = []
        for _ in range(20):
            began = self._now()
            self._state(pair, pair, plan, plan.depth)
            trials.append(self._now() - began)
        return min(trials) / plan.depth

    @torch.inference_mode()
    def fit(self, plans: Sequence[Plan], seed: int = 0) -> None:
        """Fit the readout of each plan on sessions of the world drawn with `seed`."""
        rng = np.random.default_rng(seed)
        users, steps = rng.integers(self._world.users, size=FIT_ROWS), rng.integers(STEPS, size=FIT_ROWS)
        truth = torch.from_numpy(self._world.session[users, steps + HISTORY]).to(self.device)
        who, when = torch.from_numpy(users).to(self.device), torch.from_numpy(steps).to(self.device)
        for plan in plans:
            state = self._state(who, when, plan, plan.depth)
            normal = state.t() @ state + RIDGE * len(state) / WIDTH * torch.eye(WIDTH, device=self.device)
            self._readout[plan] = torch.linalg.solve(normal, state.t() @ truth)

    @torch.inference_mode()
    def answer(self, users: Sequence[int], steps: Sequence[int], plan: Plan, slowdown: float = 1.0) -> Ranked:
        """Answer a batch; with a `slowdown` above 1 the ranker's blocks run that many times over, to no effect but time.

        A lone request is padded to two rows: one row would take another kernel, with other roundings.
        """
        rows = len(users)
        padded = (1,) if rows == 1 else ()
        who = torch.tensor([*users, *users[: len(padded)]], device=self.device)
        when = torch.tensor([*steps, *steps[: len(padded)]], device=self.device)
        began = self._now()
        candidates = recall(self._user[who], self._item, RECALLED)
        recalled = self._now()
        taste = self._state(who, when, plan, round(plan.depth * slowdown)) @ self._readout[plan]
        scores = (self._factors[candidates] @ taste.unsqueeze(2)).squeeze(2)
        ranked = self._now()
        order, final = rerank(scores, self._category[candidates], LISTED)
        items = candidates.gather(1, order)
        ended = self._now()
        seconds = {"recall": recalled - began, "rank": ranked - recalled, "rerank": ended - ranked}
        return Ranked(items[:rows].cpu().numpy(), final[:rows].cpu().numpy(), seconds)

    def _state(self, who: Tensor, when: Tensor, plan: Plan, blocks: int) -> Tensor:
        """The users' queries after `plan.depth` blocks; blocks beyond the depth are run and their result dropped."""
        span = torch.arange(HISTORY - plan.history, HISTORY, device=self.device)
        clicks = self._factors[self._timeline[who.unsqueeze(1), when.unsqueeze(1) + span]].unsqueeze(1)
        clicks = clicks.expand(-1, HEADS, -1, -1)
        recency = self._recency[..., HISTORY - plan.history :]
        gain = plan.depth**-0.5
        query = kept = self._user[who] @ self._enter
        for number in range(blocks):
            query = _through(self._blocks[number % BANK], query, clicks, recency, gain)
            if number + 1 == plan.depth:
                kept = query
        return functional.layer_norm(kept, (WIDTH,))

    def _now(self) -> float:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _through(block: Block, query: Tensor, clicks: Tensor, recency: Tensor, gain: float) -> Tensor:
    """One pre-norm block: multi-query attention over the clicks, then the feed-forward layer."""
    asked = (functional.layer_norm(query, (WIDTH,)) @ block.query).view(-1, HEADS, 1, FACTORS)
    seen = functional.scaled_dot_product_attention(asked, clicks, clicks, attn_mask=recency)
    query = torch.addmm(query, seen.reshape(-1, HEADS * FACTORS), block.mix, alpha=gain)
    hidden = torch.relu_(functional.layer_norm(query, (WIDTH,)) @ block.widen)
    return torch.addmm(query, hidden, block.narrow, alpha=gain)
