"""The detectors' stage: canonical samples in; judgements, and anomalies at their start and end, out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from detectors import reasons, snapshots
from detectors.ensemble import BY_LOAD, Ensemble, Round
from detectors.exhaustion import LIMIT
from detectors.fusion import ENDS_AFTER, Hysteresis
from detectors.judgements import Judgements
from detectors.latency_given_load import LOAD
from detectors.objective import BOUND
from detectors.plan import DetectionConfig
from detectors.ticks import rounds
from recwatch.core.bus import Outgoing, Record
from recwatch.core.canonical import LATENCY_QUANTILES, SIGNALS
from recwatch.core.errors import BadInput
from recwatch.core.event_json import from_json, to_json
from recwatch.core.events import Anomaly
from recwatch.core.objective import Objective
from recwatch.core.quantiles import open_ended
from recwatch.core.signals import Samples, Series, SeriesSet
from recwatch.core.wording import figure, least

SILENCE_MS = 60_000
"""Sample time for which an anomaly of what users feel outlives its series; the window of the quantiles."""


class DetectorStage:
    """Judges every canonical signal of every service, on sample time. Objectives are by service name.

    `unlisted` are names of series that are no signals and are judged all the same.
    """

    name = "detectors"
    topics = ("series", "samples")

    def __init__(
        self, objectives: Mapping[str, Objective], config: DetectionConfig | None = None, unlisted: Iterable[str] = ()
    ) -> None:
        config = config or DetectionConfig()
        self._plan = config.plan(unlisted)
        self._ensemble = Ensemble(self._plan, config.settings(), objectives)
        self._methods = tuple(self._ensemble.methods)
        self._hysteresis = Hysteresis(len(self._methods))
        self._judgements = Judgements()
        self._open: dict[tuple[int, int], Anomaly] = {}
        self._told: set[str] = set()
        self._orphans: list[tuple[Anomaly, int]] = []
        self._taken_up: list[Anomaly] = []
        self._bounds: dict[str, list[str]] = {}

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:  # noqa: ARG002  (sample time only)
        messages = [record.message for record in records]
        outgoing = [Outgoing("anomalies", anomaly.service, anomaly) for anomaly in self._taken_up]
        self._taken_up = []
        outgoing.extend(self._learn(message for message in messages if isinstance(message, SeriesSet)))
        batches = [message for message in messages if isinstance(message, Samples) and not message.target]
        for ticks in rounds(batches):
            judged = self._ensemble.judge(ticks)
            outgoing.extend(Outgoing("judgements", told.service, told) for told in self._judgements.of(judged))
            outgoing.extend(Outgoing("anomalies", anomaly.service, anomaly) for anomaly in self._anomalies(judged))
        return outgoing

    def _learn(self, known: Iterable[SeriesSet]) -> Iterator[Outgoing]:
        for one in known:
            self._bounds[one.service] = [s.labels["le"] for s in one.series if s.canonical and "le" in s.labels]
            new = self._ensemble.roster.learn(one)
            if new or one.service not in self._told:
                self._told.add(one.service)
                yield Outgoing("derived_series", one.service, self._ensemble.roster.derived(one.service))
        self._take_up()

    def _anomalies(self, judged: Round) -> Iterator[Anomaly]:
        starts = judged.members.starts_after, judged.members.starts_at_once
        changes = self._hysteresis.update(judged.members.place, judged.time_ms, judged.score.T, *starts)
        for index, method in changes.ended:
            yield self._closed(int(judged.row[index]), method)
        yield from self._vanished(judged)
        for index, method in changes.started:
            row = int(judged.row[index])
            self._open[row, method] = anomaly = self._started(row, method, judged, index)
            yield anomaly

    def _vanished(self, judged: Round) -> Iterator[Anomaly]:
        """Ends of anomalies whose series is missing, for too long, from the ticks of its service."""
        for (row, method), anomaly in list(self._open.items()):
            heard_ms = judged.heard_ms(anomaly.service)
            if heard_ms is not None and self._silent(row, method, heard_ms):
                self._hysteresis.forget(row, method)
                yield self._closed(row, method)
        for orphan in list(self._orphans):
            anomaly, last_ms = orphan
            heard_ms = judged.heard_ms(anomaly.service)
            if heard_ms is not None and heard_ms - last_ms >= SILENCE_MS:
                self._orphans.remove(orphan)
                yield replace(anomaly, end_ms=last_ms)

    def _silent(self, row: int, method: int, heard_ms: int) -> bool:
        """Whether a series has been missing for `ENDS_AFTER` of its own steps, whatever the pace of the others.

        Silence is not recovery: what users felt is over only after `SILENCE_MS` without a reading.
        """
        rows, over_ms = self._ensemble.rows, self._hysteresis.last_ms(row, method)
        step_ms = int(rows["step_ms"][row]) or SILENCE_MS // ENDS_AFTER
        signal = SIGNALS.get(self._ensemble.roster.series[row].name)
        felt = signal is not None and signal.user_facing
        missing_ms = heard_ms - max(int(rows["last_ms"][row]), over_ms)
        return missing_ms >= ENDS_AFTER * step_ms and (not felt or heard_ms - over_ms >= SILENCE_MS)

    def _started(self, row: int, method: int, judged: Round, index: int) -> Anomaly:
        series, name, columns = self._ensemble.roster.series[row], self._methods[method], self._ensemble.roster.columns
        start_ms = self._hysteresis.since_ms(row, method)
        value, expected = float(judged.value[index]), float(judged.band[0, index])
        below = value < expected if self._ensemble.methods[name].judges == "distance" else columns["side"][row] < 0.0
        return Anomaly(
            id=Anomaly.id_of(series.id, name, start_ms),
            service=series.service,
            series_id=str(series.id),
            series=series.key,
            method=name,
            start_ms=start_ms,
            end_ms=None,
            peak_score=self._hysteresis.peak(row, method),
            direction="below" if below else "above",
            value=value,
            expected=None if np.isnan(expected) or name in ("exhaustion", "flat_line") else expected,
            reason=self._reason(series, name, judged, index),
        )

    def _closed(self, row: int, method: int) -> Anomaly:
        end_ms, peak = self._hysteresis.last_ms(row, method), self._hysteresis.peak(row, method)
        return replace(self._open.pop((row, method)), end_ms=end_ms, peak_score=peak)

    def _reason(self, series: Series, method: str, judged: Round, index: int) -> str:
        shown, beside = self._shown(series, float(judged.value[index])), judged.beside
        if method == "objective":
            return reasons.over_objective(series, shown, float(beside[BOUND][index]))
        if method == "exhaustion":
            left_s, soonest_s, latest_s = judged.ahead(tuple(self._ensemble.foresees).index(method))[:, index].tolist()
            limit, value = float(beside[LIMIT][index]), float(judged.value[index])
            return reasons.runs_out(series, value, limit, (left_s, soonest_s, latest_s))
        if method == "flat_line":
            return reasons.stands_still(series, shown)
        expected, lower, upper = judged.band[:, index].tolist()
        if method == "level_shift":
            return reasons.level_moved(series, shown, expected)
        load = float(beside[LOAD][index]) if method == BY_LOAD else None
        return reasons.outside_band(series, shown, (expected, lower, upper), load)

    def _shown(self, series: Series, value: float) -> str:
        """A reading; of a latency beyond the last bucket that it is at least so much."""
        bounds = self._bounds.get(series.service, ()) if series.name in LATENCY_QUANTILES else ()
        return least(figure(value, series.unit), open_ended(value, bounds))

    def learn(self, known: SeriesSet, history: Iterable[Samples]) -> None:
        """Learn from what was before anything that was processed, and say nothing of what was abnormal in it."""
        self._ensemble.roster.learn(known)
        for batch in history:
            for ticks in rounds([batch]):
                self._ensemble.judge(ticks)

    def recalibrate(self) -> None:
        """Learn anew how far readings scatter, which depends on how often they are taken; levels and profiles are kept."""
        self._ensemble.recalibrate()

    def snapshot(self) -> bytes:
        """All that was learnt, and the anomalies that are open."""
        header = {
            "methods": self._fingerprint(),
            "series": [_definition(series) for series in self._ensemble.roster.series],
            "open": [[*pair, to_json(anomaly)] for pair, anomaly in self._open.items()],
        }
        return snapshots.dump(header, {**self._parts(), "roster": self._ensemble.roster})

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot, in a stage that has processed nothing yet. Raises BadInput where it does not fit."""
        header, states = snapshots.load(snapshot)
        if header["methods"] != self._fingerprint():
            raise BadInput("the detectors' snapshot was taken with other methods or signals; start without it")
        series = [Series(*definition) for definition in header["series"]]
        self._ensemble.roster.restore(series, states["roster"])
        for name, part in self._parts().items():
            part.restore(states.get(name, {}))
        self._open = {(row, method): from_json(Anomaly, text) for row, method, text in header["open"]}

    def adopt(self, anomalies: Iterable[Anomaly], heard_ms: Mapping[str, int]) -> None:
        """Take up open anomalies that this stage, begun anew or from an older snapshot, does not know; once, at the start.

        They end like any other; else nobody would end them. `heard_ms` gives each watched service and the newest sample time
        known of it. What is of another service, or by a method no longer used, ends at once. All that is open is told
        again, as what was on the bus may be lost.
        """
        for pair in [pair for pair, anomaly in self._open.items() if anomaly.service not in heard_ms]:
            self._taken_up.append(self._closed(*pair))
            self._hysteresis.forget(*pair)
        self._taken_up.extend(self._open.values())
        held = {anomaly.id for anomaly in self._open.values()}
        for anomaly in anomalies:
            if anomaly.end_ms is not None or anomaly.id in held:
                continue
            last_ms = max(anomaly.start_ms, heard_ms.get(anomaly.service, 0))
            if anomaly.service in heard_ms and anomaly.method in self._methods:
                self._orphans.append((anomaly, last_ms))
            else:
                self._taken_up.append(replace(anomaly, end_ms=last_ms))
        self._take_up()

    def _take_up(self) -> None:
        """Go on with the orphans whose series are known."""
        for orphan in list(self._orphans):
            anomaly, last_ms = orphan
            row, method = self._ensemble.roster.row_of(int(anomaly.series_id)), self._methods.index(anomaly.method)
            if row is not None:
                self._hysteresis.resume(row, method, anomaly, last_ms)
                self._open[row, method] = anomaly
                self._orphans.remove(orphan)

    def _parts(self) -> dict[str, snapshots.Keeps]:
        shared: dict[str, snapshots.Keeps] = {"rows": self._ensemble.rows, "hysteresis": self._hysteresis}
        return {**self._ensemble.methods, **shared}

    def _fingerprint(self) -> dict[str, list[str]]:
        return {signal: list(watch.methods) for signal, watch in self._plan.items()}


def _definition(series: Series) -> tuple[object, ...]:
    return series.name, dict(series.labels), series.unit, series.kind, series.service, series.target
