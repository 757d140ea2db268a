"""Why a series did or did not alarm. Pure: whoever asks brings what is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from alerting.grouping import GroupingConfig, patience_s, user_facing
from alerting.silences import covered_until, silence_of
from recwatch.core.canonical import SIGNALS, derived_series
from recwatch.core.errors import BadInput
from recwatch.core.events import Anomaly, Incident, Silence
from recwatch.core.recent import Recent, stale_after_ms, usual_interval_ms
from recwatch.core.signals import Series
from recwatch.core.wording import clean, duration, figure, least, utc

Verdict = Literal[
    "not_judged",
    "no_data",
    "warming_up",
    "abstained",
    "normal",
    "over_edge",
    "muted",
    "alarming",
    "waiting",
    "evidence_only",
]  # the last four of an open anomaly only


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on one series, and the reasons in sentences."""

    series: str
    verdict: Verdict
    sentences: tuple[str, ...]


def series_named(text: str, recent: Recent, service: str | None = None) -> Series:
    """The series whose key is `text`, or the one that bears the bare name `text` (of `service` if given).

    Raises BadInput when there is none, or when a bare name fits several: then it lists some of them.
    """
    known = recent.series(service)
    fitting = [s for s in known if s.key == text] or [s for s in known if s.name == text]
    if len(fitting) == 1:
        return fitting[0]
    of = f" of service '{service}'" if service else ""
    if not fitting:
        raise BadInput(f"no series '{text}'{of} is known{_instead(text, known)}")
    some = ", ".join(s.key for s in fitting[:5])
    raise BadInput(f"'{text}'{of} fits {len(fitting)} series; give one of their keys: {some}")


def _instead(text: str, known: Iterable[Series]) -> str:
    """What to ask for instead: the names most like `text` of what can be explained, or when to ask again."""
    names = sorted({series.name for series in known if series.name in SIGNALS})
    if text in SIGNALS or not names:
        return " yet; what the targets tell so far, and whether they answer, is on the console's page Targets"
    return f"; known are {', '.join(get_close_matches(text, names, 3) or names)}"


def explain(
    series: Series,
    recent: Recent,
    events: tuple[Iterable[Anomaly], Iterable[Incident], Iterable[Silence]],
    now_ms: int,
) -> Explanation:
    """What recwatch makes of `series` at `now_ms` (wall clock).

    `recent` holds the samples and the judgements (`recwatch_score` and so on); `events` are the anomalies, incidents and
    silences known, of any service.
    """
    if not series.canonical:
        said = "This is a series of one target: its samples are in the store, and no detector judges such series."
        return Explanation(series.key, "not_judged", (said,))
    anomalies, incidents, silences = events
    times, values = recent.rows(series.id)
    if not len(times):
        return Explanation(series.key, "no_data", ("No sample of this series was seen in the last minutes.",))
    stale_ms = round(stale_after_ms(usual_interval_ms(times)))
    value = float(values[-1])
    shown = least(figure(value, series.unit), recent.open_ended(series.service, series.name, value))
    last = f"The last value is {shown}, {duration(now_ms - int(times[-1]))} ago."
    if now_ms - times[-1] > stale_ms:
        return Explanation(series.key, "no_data", (last, "That is more than three intervals: the series has stopped."))
    mine = [a for a in anomalies if a.series == series.key]
    alarming = [a for a in mine if a.end_ms is None]
    if alarming:
        verdict, reasons = _of_alarm(alarming, incidents, tuple(silences), (int(times[-1]), now_ms))
    else:
        verdict, reasons = _of_judgement(series, recent, now_ms - stale_ms)
        reasons += _past(mine)
    return Explanation(series.key, verdict, (last, *reasons))


def _of_alarm(
    alarming: list[Anomaly], incidents: Iterable[Incident], silences: tuple[Silence, ...], until_ms: tuple[int, int]
) -> tuple[Verdict, list[str]]:
    """What becomes of open anomalies; `until_ms` is now in sample time and by the wall clock."""
    sample_ms, now_ms = until_ms
    reasons = [f"Anomalous since {utc(a.start_ms)} by {clean(a.method)}: {clean(a.reason)}." for a in alarming]
    ids = {a.id for a in alarming}
    for incident in incidents:
        if incident.state == "open" and any(a.id in ids for a in incident.anomalies):
            reasons.append(f"It is part of the open incident {incident.id}: {clean(incident.title)}.")
            silence = silence_of(incident, silences, now_ms)
            if silence is None:
                return "alarming", reasons
            why = f"silenced by {clean(silence.by)} {covered_until(silence)}"
            return "muted", [*reasons, f"No message is sent: it is {why}."]
    if any(map(user_facing, alarming)):
        return "alarming", [*reasons, "Users feel it; its incident is about to open or has just ended."]
    waits = [said for a in alarming if (said := _waits(a, sample_ms))]
    if waits:
        return "waiting", [*reasons, *waits]
    return "evidence_only", [*reasons, "Users do not feel this by itself: it is kept as evidence and pages no one."]


def _waits(anomaly: Anomaly, sample_ms: int) -> str:
    """How long this has lasted and must last to page; empty where it never pages by lasting."""
    patience = patience_s(anomaly, GroupingConfig())
    if patience is None:
        return ""
    lasted = duration(sample_ms - anomaly.start_ms)
    return f"It pages once it has lasted for {patience:g} s, as a restart may take as long; so far it has for {lasted}."


def _of_judgement(series: Series, recent: Recent, since_ms: int) -> tuple[Verdict, list[str]]:
    warmup, scores = _by_method(recent, series, "recwatch_warmup_ratio", 0), _by_method(recent, series, "recwatch_score", 0)
    if not warmup and not scores:
        return "not_judged", ["No detector judges this signal."]
    fresh = _by_method(recent, series, "recwatch_score", since_ms)
    learning = {method: done for method, done in warmup.items() if done < 1 and method not in fresh}
    reasons = [f"{clean(m)} is warming up: {figure(done, 'ratio')} done." for m, done in learning.items()]
    if not fresh:
        if learning:
            return "warming_up", reasons
        silent = ", ".join(map(clean, {**warmup, **scores}))
        return "abstained", [
            f"{silent} gave no opinion on the latest samples; a signal it needs beside this one may be missing."
        ]
    reasons += [_scored(clean(method), score) for method, score in fresh.items()]
    over = any(score >= 1 for score in fresh.values())
    return "over_edge" if over else "normal", reasons + _band(series, recent)


def _scored(method: str, score: float) -> str:
    if score >= 1:
        return f"{method} scores {score:.2f}: over the edge, which is at 1, but not for long enough yet to be an anomaly."
    return f"{method} scores {score:.2f}; the edge is at 1."


def _by_method(recent: Recent, series: Series, what: str, since_ms: int) -> dict[str, float]:
    wanted = {**series.labels, "signal": series.name}
    rows = {
        s.labels.get("method", ""): recent.rows(s.id, since_ms)[1]
        for s in recent.series(series.service, what)
        if wanted == {label: text for label, text in s.labels.items() if label != "method"}
    }
    return {method: float(values[-1]) for method, values in rows.items() if len(values)}


def _band(series: Series, recent: Recent) -> list[str]:
    ends = [recent.rows(derived_series(what, series).id)[1] for what in ("recwatch_lower", "recwatch_upper")]
    if not all(len(values) for values in ends):
        return []
    lower, upper = (figure(float(values[-1]), series.unit) for values in ends)
    return [f"Expected is {lower} to {upper}."]


def _past(mine: list[Anomaly]) -> list[str]:
    ended = max((a for a in mine if a.end_ms is not None), key=lambda a: a.end_ms or 0, default=None)
    if ended is None:
        return []
    return [f"It was last anomalous from {utc(ended.start_ms)} to {utc(ended.end_ms or 0)}: {clean(ended.reason)}."]
