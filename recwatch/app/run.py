"""`recwatch run`: one role of the distributed deployment, until Ctrl-C or SIGTERM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from threading import Event

from rich.console import Console
from starlette.types import ASGIApp

from recwatch.app.config import Config, ConsoleConfig
from recwatch.app.ending import told_to_end
from recwatch.app.health import health_app
from recwatch.app.process import Process
from recwatch.app.remote_write import WRITE_PATH, newest_received
from recwatch.app.roles import RoleName
from recwatch.app.roles.role import Shared
from recwatch.app.server import Server
from recwatch.core.bus.registry import MEMORY, awaited_bus, open_bus
from recwatch.core.clock import Clock, SystemClock
from recwatch.core.errors import BadInput
from recwatch.core.store import Store, open_store
from recwatch.core.store.connection import Embedded, parse_dsn

BUS_AWAY_S = 1.0


def run_role(  # noqa: PLR0913, PLR0917  (what the command line is given, and the clock)
    name: RoleName, config: Config, port: int | None, api_url: str | None, out: Console, clock: Clock | None = None
) -> None:
    """Play the role until told to end; then finish what is begun, and leave. Raises what a part of it died of.

    What is asked of the process is answered on `port`, any free one unless given; the API answers where it is configured.
    """
    _require_usable(name, config, port, api_url)
    with told_to_end() as told, ExitStack() as opened:
        if name is RoleName.api:
            server = Server("127.0.0.1", config.api.port)
        else:
            server = Server("127.0.0.1", port or 0, f"recwatch run {name}", "--port")
        opened.callback(server.stop)
        if name is RoleName.console:
            check = _open_console(config, api_url, server, out, opened)
        else:
            check = _open_role(name, config, clock or SystemClock(), server, opened)
        for sentence in _said(name, config, server.url):
            out.print(sentence)
        pause = Event()
        while not told:
            check()
            pause.wait(0.2)


def _said(name: RoleName, config: Config, url: str) -> Iterator[str]:
    """What whoever wants to look, write or send has to know."""
    if name is RoleName.api:
        yield f"Whoever may write has the token in {config.token_file}."
    if name is RoleName.collectors and any(service.receive for service in config.services):
        yield f"Prometheus's remote_write goes to {url}{WRITE_PATH}, with the token in {config.receive_token_file}."
    yield f"recwatch {name} answers at {url}"


def _require_usable(name: RoleName, config: Config, port: int | None, api_url: str | None) -> None:
    """Raise BadInput where bus or store are of one process alone, or it is not said, or said twice, where something is."""
    if config.bus == MEMORY:
        raise BadInput("bus: memory is within one process; name the brokers, as in kafka://host:9092, or use recwatch up")
    if isinstance(parse_dsn(config.store), Embedded):
        raise BadInput(
            f"store: {config.store} can be opened by one process alone; serve it with recwatch store serve and name the"
            " server, as in clickhouse://recwatch@127.0.0.1:8123/default, or use recwatch up"
        )
    if name is RoleName.api and port is not None:
        raise BadInput(
            f"the API answers at api.port, {config.api.port}, where commands and console look for it; leave --port out, or"
            " set api.port"
        )
    if name is RoleName.console and config.console is None:
        raise BadInput("console: null says that there is to be no console; give it a port, as in console: {port: 8301}")
    if name is RoleName.console and api_url is None and config.api.port == 0:
        raise BadInput("api.port is 0, so nobody knows where the API is; say it with --api-url")


def _open_role(name: RoleName, config: Config, clock: Clock, server: Server, opened: ExitStack) -> Callable[[], None]:
    """Start a role that reads from the bus. Returns what raises what it died of."""
    # Collectors go on, and start, while the brokers or the store are away.
    collects = name is RoleName.collectors
    bus = awaited_bus(config.bus, BUS_AWAY_S) if collects else open_bus(config.bus, BUS_AWAY_S)
    shared = Shared(config, clock, opened.enter_context(closing(bus)))
    store = None if collects else opened.enter_context(closing(open_store(config.store)))
    process = Process(shared, server, store)
    opened.callback(process.stop)
    process.start(_collectors(shared, process) if store is None else _stored_role(name, shared, store, process))
    return process.check


def _collectors(shared: Shared, process: Process) -> ASGIApp:
    from recwatch.app.roles.collectors import CollectorsRole  # noqa: PLC0415 - heavy

    stored = {}
    if any(service.receive for service in shared.config.services):
        with closing(open_store(shared.config.store)) as store:
            stored = newest_received(shared.config, shared.clock, store)
    role = process.add(CollectorsRole(shared, stored))
    return health_app(process.health, role.receiving)


def _stored_role(name: RoleName, shared: Shared, store: Store, process: Process) -> ASGIApp:
    """Add a role to the process; what is imported is what that role alone needs. Returns what the process answers with."""
    match name:
        case RoleName.api:
            from recwatch.app.api import create_api  # noqa: PLC0415 - heavy
            from recwatch.app.roles.api import ApiRole  # noqa: PLC0415 - heavy

            api = process.add(ApiRole(shared, store, process.registry))
            return create_api(api.view, process.health, api.token)
        case RoleName.sink:
            from recwatch.app.roles.sink import SinkRole  # noqa: PLC0415 - heavy

            process.add(SinkRole(shared, store))
        case RoleName.detectors:
            from recwatch.app.roles.detectors import DetectorsRole  # noqa: PLC0415 - heavy

            process.add(DetectorsRole(shared, store))
        case RoleName.alerting:
            from recwatch.app.roles.alerting import AlertingRole  # noqa: PLC0415 - heavy

            process.add(AlertingRole(shared, store))
        case RoleName.tuning:
            from recwatch.app.roles.tuning import TuningRole  # noqa: PLC0415 - heavy

            process.add(TuningRole(shared, store))
    return health_app(process.health, None)


def _open_console(
    config: Config, api_url: str | None, server: Server, out: Console, opened: ExitStack
) -> Callable[[], None]:
    """Start the console. Returns what raises what it ended of."""
    from recwatch.app.roles.console import ConsoleChild, watched_console  # noqa: PLC0415 - heavy

    url = api_url or f"http://127.0.0.1:{config.api.port}"
    console = ConsoleChild(config.console or ConsoleConfig(), url, config.token_file)
    opened.enter_context(watched_console(console, url, server))
    out.print(f"Console {console.url}, of the API at {url}")
    return console.require_running
