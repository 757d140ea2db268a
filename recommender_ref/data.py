"""A made-up world with the structure of a real one: Zipf popularity, tastes, categories, and sessions that drift.

Everything follows from one seed, so the true taste behind every click is known and answers can be judged against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

USERS = 2000
ITEMS = 2000
CATEGORIES = 20
FACTORS = 16
HISTORY = 16
STEPS = 64
"""Clicks that a session has before it starts over."""

ITEM_SPREAD = 0.5
DRIFT_WEIGHT = 0.9
DRIFT_MEMORY = 0.9
CHOOSINESS = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Items and users. Factors and tastes are unit vectors, so an affinity is a cosine.

    `session[user, p]` is the true taste at click p, `timeline[user, p]` the item clicked there; `popularity` sums to 1.
    """

    category: Int64
    factors: Float32
    popularity: Float64
    taste: Float32
    session: Float32
    timeline: Int64

    @property
    def users(self) -> int:
        return len(self.taste)

    def affinity(self, user: int, step: int) -> Float32:
        """True affinity (-1..1) of every item to the taste of the next click, after the history of `step`."""
        cosine: Float32 = self.factors @ self.session[user, step + HISTORY]
        return cosine


def generate(seed: int = 0, users: int = USERS, items: int = ITEMS) -> World:
    """The world of this seed."""
    rng = np.random.default_rng(seed)
    centroids = _unit(rng.normal(size=(CATEGORIES, FACTORS)))
    category = rng.permutation(np.arange(items) % CATEGORIES)
    factors = _unit(centroids[category] + _noise(rng, items, ITEM_SPREAD))
    popularity = zipf(items)[rng.permutation(items)]
    liked = rng.integers(CATEGORIES, size=(users, 2))
    taste = _unit(centroids[liked].sum(axis=1) + _noise(rng, users, 0.5))
    session = _drift(rng, taste, HISTORY + STEPS)
    timeline = _clicks(rng, session @ centroids.T, category, popularity)
    return World(
        category, factors.astype(np.float32), popularity, taste.astype(np.float32), session.astype(np.float32), timeline
    )


def zipf(n: int, exponent: float = 1.0) -> Float64:
    """Probabilities proportional to rank^-exponent.

    >>> zipf(3).round(3)
    array([0.545, 0.273, 0.182])
    """
    weights = np.arange(1, n + 1, dtype=np.float64) ** -exponent
    shares: Float64 = weights / weights.sum()
    return shares


def _unit(vectors: Float64) -> Float64:
    lengths: Float64 = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / lengths


def _noise(rng: np.random.Generator, rows: int, length: float) -> Float64:
    return rng.normal(scale=length / FACTORS**0.5, size=(rows, FACTORS))


def _drift(rng: np.random.Generator, taste: Float64, clicks: int) -> Float64:
    """An AR(1) walk around each user's taste."""
    session = np.empty((len(taste), clicks, FACTORS))
    away = _noise(rng, len(taste), 1.0)
    for click in range(clicks):
        session[:, click] = _unit(taste + DRIFT_WEIGHT * away)
        away = DRIFT_MEMORY * away + (1 - DRIFT_MEMORY**2) ** 0.5 * _noise(rng, len(taste), 1.0)
    return session


def _clicks(rng: np.random.Generator, liking: Float64, category: Int64, popularity: Float64) -> Int64:
    """One item a click: a category by how much it is liked, then an item of it by popularity."""
    weights = np.exp(CHOOSINESS * liking)
    chosen = (weights.cumsum(axis=-1) < rng.random(liking.shape[:-1])[..., None] * weights.sum(axis=-1, keepdims=True)).sum(
        -1
    )
    timeline = np.empty(chosen.shape, dtype=np.int64)
    for number in range(CATEGORIES):
        members = np.flatnonzero(category == number)
        here = chosen == number
        shares = popularity[members] / popularity[members].sum()
        timeline[here] = rng.choice(members, size=int(here.sum()), p=shares)
    return timeline
