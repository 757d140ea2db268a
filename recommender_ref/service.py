"""The running recommender: cache, queue, replicas and knobs around the model, with its faults and its emulated GPU."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from recommender_ref.batching import BatchQueue, QueueFull, Replicas
from recommender_ref.cache import ResultCache
from recommender_ref.data import STEPS, World
from recommender_ref.faults import BadFault, Fault, Faults
from recommender_ref.gpu import Gpu
from recommender_ref.knobs import Knobs
from recommender_ref.metrics import Metrics
from recommender_ref.model import Model, Ranked
from recommender_ref.quality import ShadowSample
from recommender_ref.variants import Plan, plans

STEP_S = 6.0
"""A user's session moves on by a click this often; until then the answer stays the same and may be cached."""


class UnknownUser(ValueError):
    """Nobody has this number."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A ranked list, best first: (item, score) pairs, and the version that made it."""

    items: tuple[tuple[int, float], ...]
    version: str


@dataclass(frozen=True, slots=True)
class Job:
    """A request on its way through the queue."""

    user: int
    step: int
    answer: asyncio.Future[Answer]


class Recommender:
    """Lives in the event loop that calls `start`; replicas run in threads of their own."""

    def __init__(self, world: World, model: Model, depth: int) -> None:
        self.world = world
        self.model = model
        self.plans: Mapping[tuple[str, str], Plan] = plans(depth)
        self.knobs = Knobs()
        self.faults = Faults()
        self.gpu = Gpu(time.monotonic())
        self._busy_s = 0.0
        self._busy_seen_s = 0.0
        self._busy_lock = Lock()
        self._cache = ResultCache[Answer](time.monotonic)
        self._shadow = ShadowSample(world)
        self._queue = BatchQueue[Job](lambda: self.knobs, time.perf_counter)
        self._replicas = Replicas(self._queue, self._run)
        self.metrics = Metrics(self._queue.__len__, self._replicas.__len__, self._shadow.mean_ratio)

    def start(self) -> None:
        """Take on the calling loop and start the replicas."""
        self._loop = asyncio.get_running_loop()
        self._apply(self.knobs)

    def stop(self) -> None:
        """Finish the batches in hand; what still waits is dropped."""
        self._replicas.stop()

    def patch(self, changes: Mapping[str, object]) -> None:
        """Change knobs, all or none; raises BadKnob."""
        self._apply(self.knobs.patched(changes))

    async def recommend(self, user: int, k: int) -> Answer:
        """The `k` best items for a user now; raises UnknownUser or QueueFull."""
        if not 0 <= user < self.world.users:
            raise UnknownUser(f"There is no user {user}; users are 0 to {self.world.users - 1}")
        began = time.perf_counter()
        full = await self._answer(user, self._step(user))
        self.metrics.ok.inc()
        self.metrics.request.observe(time.perf_counter() - began)
        return Answer(full.items[:k], full.version)

    async def _answer(self, user: int, step: int) -> Answer:
        knobs = self.knobs
        key = (user, step, knobs.model_version, knobs.variant)
        cached = self._cache.get(key, knobs.cache_ttl_s)
        if cached is not None:
            self.metrics.hit.inc()
            return cached
        self.metrics.miss.inc()
        job = Job(user, step, self._loop.create_future())
        try:
            self._queue.put(job)
        except QueueFull:
            self.metrics.shed.inc()
            raise
        try:
            answer = await job.answer
        except RuntimeError:
            self.metrics.error.inc()
            raise
        self._cache.put(key, answer, self.knobs.cache_entries)
        return answer

    def beat(self) -> None:
        """Let faults begin and end, and the emulated GPU follow; called a few times a second."""
        now = time.time()
        for turn in self.faults.turns(now):
            if turn.name == "deploy" and turn.begins:
                self.patch({"model_version": "v2"})
            elif turn.name == "deploy" and self.knobs.model_version == "v2":
                self.patch({"model_version": "v1"})
        steady = time.monotonic()
        span_s = steady - self.gpu.time_s
        if span_s > 0:
            worked_s, self._busy_seen_s = self._busy_s - self._busy_seen_s, self._busy_s
            self.gpu = self.gpu.advanced(steady, worked_s / span_s / len(self._replicas), self._slowdown())

    def begin_fault(self, name: str, start_in_s: float, duration_s: float, factor: float | None) -> Fault:
        """Schedule a fault; raises BadFault, for a throttled clock too where the GPU is real."""
        if name == "throttle" and self.model.on_gpu:
            raise BadFault("throttle holds down the clock of an emulated GPU, and this one is real; serve with --device cpu")
        fault = self.faults.start(name, time.time(), start_in_s, duration_s, factor)
        self.beat()
        return fault

    def end_fault(self, name: str) -> Fault:
        """End a fault early; raises BadFault."""
        fault = self.faults.end(name, time.time())
        self.beat()
        return fault

    def _apply(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self.metrics.show(knobs)
        self._replicas.resize(knobs.replicas)

    def _slowdown(self) -> float:
        return self.faults.factor("throttle", time.time())

    def _step(self, user: int) -> int:
        """Sessions move on at moments of their own: the user's number staggers them."""
        return int(time.time() / STEP_S + user * 0.618) % STEPS

    def _run(self, replica: int, batch: Sequence[tuple[float, Job]]) -> None:
        """One batch, in a replica's thread."""
        knobs = self.knobs
        plan = self.plans[knobs.model_version, knobs.variant]
        jobs = [job for _, job in batch]
        began = time.perf_counter()
        try:
            ranked = self.model.answer([j.user for j in jobs], [j.step for j in jobs], plan, self._slowdown())
        except RuntimeError as failure:  # what torch raises, out of memory included: theirs who asked
            self._loop.call_soon_threadsafe(_fail, jobs, failure)
            return
        answers = _answers(ranked, knobs.model_version)
        self._measure(replica, batch, ranked, time.perf_counter() - began)
        self._loop.call_soon_threadsafe(_deliver, jobs, answers)
        for job, items in zip(jobs, ranked.items, strict=True):
            self._shadow.offer(job.user, job.step, items[:10])

    def _measure(self, replica: int, batch: Sequence[tuple[float, Job]], ranked: Ranked, seconds: float) -> None:
        with self._busy_lock:
            self._busy_s += seconds
        self.metrics.busy.labels(str(replica)).inc(seconds)
        self.metrics.batch.observe(seconds)
        self.metrics.batch_size.observe(len(batch))
        for waited, _ in batch:
            self.metrics.queue.observe(waited)
        for stage, took in ranked.seconds.items():
            self.metrics.stages[stage].observe(took)


def _answers(ranked: Ranked, version: str) -> list[Answer]:
    rows = zip(ranked.items.tolist(), ranked.scores.tolist(), strict=True)
    return [Answer(tuple(zip(items, scores, strict=True)), version) for items, scores in rows]


def _deliver(jobs: Sequence[Job], answers: Sequence[Answer]) -> None:
    for job, answer in zip(jobs, answers, strict=True):
        if not job.answer.done():
            job.answer.set_result(answer)


def _fail(jobs: Sequence[Job], failure: RuntimeError) -> None:
    for job in jobs:
        if not job.answer.done():
            job.answer.set_exception(failure)
