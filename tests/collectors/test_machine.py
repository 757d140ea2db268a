"""The machine that recwatch runs on: host and GPUs."""

from collections.abc import Iterator, Sequence

import pytest

from collectors.host import Host, busy_ratio
from collectors.nvml import Gpu, Nvml
from recwatch.core.errors import Unavailable
from tests.collectors.scenes import Watch
from tests.collectors.server import PageServer, page, serving


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving() as running:
        running.answers = {"/metrics": page("a 1\n")}
        yield running


class FakeGpus:
    """GPUs that show what they are told to; none when there are no readings left."""

    def __init__(self, *readings: Sequence[Gpu]) -> None:
        self._readings = list(readings)

    def gpus(self) -> Sequence[Gpu]:
        if not self._readings:
            raise Unavailable("the GPU fell off the bus")
        return self._readings.pop(0)


def test_the_share_of_work_leaves_out_time_counted_twice() -> None:
    before = {"user": 10.0, "guest": 5.0, "system": 1.0, "idle": 100.0, "iowait": 1.0}
    after = {"user": 16.0, "guest": 9.0, "system": 3.0, "idle": 120.0, "iowait": 5.0}
    assert busy_ratio(before, after) == 0.25
    assert busy_ratio(after, after) is None


def test_this_host_has_memory_and_from_the_second_reading_a_share_of_work(server: PageServer) -> None:
    first = Host().read()
    assert first.keys() == {("host_memory_available_bytes", ())}
    assert first["host_memory_available_bytes", ()] > 0
    watch = Watch.of(server.url("/metrics"), scrape_interval="5s", host=True)
    assert "host_memory_available_bytes" in watch.signals(watch.tick())
    shares = [watch.signals(watch.tick()).get("host_cpu_busy_ratio") for _ in range(20)]
    assert any(share is not None and 0 <= share <= 1 for share in shares)
    watch.close()


def test_gpus_are_read_and_their_loss_is_told(server: PageServer) -> None:
    gpus = FakeGpus([Gpu(0, busy_ratio=0.7, throttled=True), Gpu(1, sm_clock_hertz=1.4e9, throttled=False)])
    watch = Watch.of(server.url("/metrics"), gpus=gpus, nvml=True, scrape_interval="5s")
    assert watch.signals(watch.tick()) == {
        "gpu_busy_ratio{gpu: 0}": 0.7,
        "gpu_throttled_ratio{gpu: 0}": 1.0,
        "gpu_sm_clock_hertz{gpu: 1}": 1.4e9,
        "gpu_throttled_ratio{gpu: 1}": 0.0,
        "targets_up_ratio": 1.0,
    }
    assert watch.signals(watch.tick()) == {"targets_up_ratio": 1.0}
    status = watch.collector.targets()[-1]
    assert (status.url, status.up, status.last_error) == ("nvml:", False, "the GPU fell off the bus")
    assert status.last_scrape_ms == watch.time_ms - 1000
    watch.close()


def test_the_real_driver_gives_readings_or_says_why_not() -> None:
    gpus: Sequence[Gpu] = ()
    said = ""
    try:
        gpus = Nvml().gpus()
    except Unavailable as error:
        said = str(error)
    assert gpus or "NVIDIA driver" in said
    assert [gpu.index for gpu in gpus] == list(range(len(gpus)))
    assert all(gpu.busy_ratio is None or 0 <= gpu.busy_ratio <= 1 for gpu in gpus)
