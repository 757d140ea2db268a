"""The tuning stage: incidents, decisions and samples in, every transition of a proposal out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from recwatch.core.bus import Outgoing, Record
from recwatch.core.errors import BadInput
from recwatch.core.objective import Objective
from recwatch.core.proposals import Hold
from recwatch.core.recent import Recent, absorb
from tuning.actuators import Actuator
from tuning.config import TuningConfig
from tuning.ledger import Ledger
from tuning.panel import Panel
from tuning.tuner import Tuner

LEDGERS = TypeAdapter(dict[str, Ledger])


class TuningStage:
    """Tunes every service in `configs`; each needs an objective, and its actuator unless the configured one is to be used.

    A failing actuator never raises out of `process`: its service is retried later and says so in `holds`, while the others'
    records go on. `acts` counts the transitions of proposals.
    """

    name = "tuning"
    topics: tuple[str, ...] = ("series", "samples", "incidents", "decisions", "marks")

    def __init__(
        self,
        configs: Mapping[str, TuningConfig],
        objectives: Mapping[str, Objective],
        actuators: Mapping[str, Actuator] | None = None,
    ) -> None:
        self._recent = Recent()
        given = actuators or {}
        self._actuators = {service: given.get(service) or config.actuator.connect() for service, config in configs.items()}
        self._tuners = {
            service: Tuner(
                service, config, objectives[service], Panel(self._actuators[service], config.bounds), self._recent
            )
            for service, config in configs.items()
        }
        self._told: dict[str, str] = {}
        self.acts = 0

    def process(self, records: Sequence[Record], now_ms: int) -> Sequence[Outgoing]:
        """Take in what was polled, then let every service go one step further."""
        absorb(self._recent, (record.message for record in records if record.key in self._tuners))
        for record in records:
            if record.topic in ("incidents", "decisions", "marks") and record.key in self._tuners:
                self._tuners[record.key].learn(record.message, now_ms)
        said = [outgoing for tuner in self._tuners.values() for outgoing in tuner.step(now_ms)]
        self.acts += len(said)
        return [*said, *self._changed_holds(now_ms)]

    def _changed_holds(self, now_ms: int) -> Iterator[Outgoing]:
        now = dict.fromkeys(self._tuners, "") | self.holds()
        for service, reason in now.items():
            if self._told.get(service) != reason:
                self._told[service] = reason
                yield Outgoing("holds", service, Hold(service, reason, now_ms))

    def holds(self) -> dict[str, str]:
        """Why nothing is being done, for each service of which something might be expected."""
        return {service: tuner.hold for service, tuner in self._tuners.items() if tuner.hold}

    def snapshot(self) -> bytes:
        """Proposals and open incidents of every service, as JSON."""
        return LEDGERS.dump_json({service: tuner.ledger for service, tuner in self._tuners.items()})

    def restore(self, state: bytes) -> None:
        """Go on from a snapshot; services that are no longer configured are left out.

        Raises BadInput for one that another version wrote.
        """
        try:
            ledgers = LEDGERS.validate_json(state)
        except ValidationError as error:
            raise BadInput("tuning's snapshot is of another version; start without it") from error
        for service, ledger in ledgers.items():
            if service in self._tuners:
                self._tuners[service].ledger = ledger

    def close(self) -> None:
        """Let go of the actuators' connections."""
        for actuator in self._actuators.values():
            actuator.close()
