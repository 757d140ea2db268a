"""`recwatch-recommender`: serve the recommender, load it, and give it faults."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Annotated, Literal, NoReturn

import httpx
import typer

from recommender_ref.faults import KINDS

app = typer.Typer(no_args_is_help=True, help="The reference recommender: its service, its load, its faults.")
fault_app = typer.Typer(no_args_is_help=True, help="Start, list and end the recommender's faults.")
app.add_typer(fault_app, name="fault")

URL = "http://127.0.0.1:8080"
Url = Annotated[str, typer.Option(help="Address of the recommender.")]


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 is any free one.")] = 8080,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the model runs.")] = "auto",
    depth: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Blocks of the ranker; if not given, what fits this machine."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the users, the items and the weights.")] = 0,
) -> None:
    """Serve recommendations until interrupted. Prints one line when ready."""
    listening = _bound(host, port)
    # Importing torch takes seconds: the other commands do without.
    import torch  # noqa: PLC0415

    from recommender_ref.data import generate  # noqa: PLC0415
    from recommender_ref.model import Model  # noqa: PLC0415
    from recommender_ref.service import Recommender  # noqa: PLC0415
    from recommender_ref.serving import serve as serve_http  # noqa: PLC0415
    from recommender_ref.sizing import depth_for  # noqa: PLC0415
    from recommender_ref.variants import plans  # noqa: PLC0415

    if device == "cuda" and not torch.cuda.is_available():
        _fail("PyTorch finds no CUDA device on this machine; use --device cpu.")
    world = generate(seed)
    model = Model(world, "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu", seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    depth = depth or depth_for(model.block_seconds())
    torch.set_num_threads(threads)
    model.fit(list(plans(depth).values()))
    torch.set_num_threads(1)  # one a replica: batching and replicas are what share out the cores
    address = f"http://{host}:{listening.getsockname()[1]}"
    pages = [f"{address}/recommend", f"{address}/metrics", *([] if model.on_gpu else [f"{address}/gpu/metrics"])]
    ready = f"ready: {', '.join(pages)} ({depth} blocks on {model.device})"
    serve_http(Recommender(world, model, depth), listening, lambda: typer.echo(ready))


@app.command()
def load(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    url: Url = URL,
    rate: Annotated[float, typer.Option(min=0.1, max=5000, help="Mean requests a second.")] = 110.0,
    duration: Annotated[float, typer.Option(min=0.1, max=86_400, help="Seconds to send for.")] = 3600.0,
    seed: Annotated[int, typer.Option(help="Seed of the arrivals and of who asks.")] = 0,
    period_s: Annotated[float, typer.Option(min=1, help="Length of a day.")] = 300.0,
    amplitude: Annotated[float, typer.Option(min=0, max=0.95, help="Swing of the day, as a share of the rate.")] = 0.05,
) -> None:
    """Send requests in an open loop; print a JSON line a second, and a summary at the end."""
    from recommender_ref.load import Load, Shape  # noqa: PLC0415 - numpy, which the fault commands do without

    async def run() -> None:
        await Load(url, Shape(rate, period_s, amplitude), seed, duration, typer.echo).run()

    try:
        asyncio.run(run())
    except ValueError as error:
        _fail(str(error))


@fault_app.command("start")
def start_fault(
    name: Annotated[str, typer.Argument(help="; ".join(f"{name}: {kind.help}" for name, kind in KINDS.items()))],
    url: Url = URL,
    duration_s: Annotated[float, typer.Option(help="Seconds it lasts.")] = 90.0,
    start_in_s: Annotated[float, typer.Option(help="Seconds until it begins.")] = 0.0,
    factor: Annotated[float | None, typer.Option(help="How bad it is, 1 to 10; the fault's own if not given.")] = None,
) -> None:
    """Start a fault, now or in a while."""
    wanted = {"name": name, "duration_s": duration_s, "start_in_s": start_in_s, "factor": factor}
    _print(_asked("POST", f"{url}/faults", wanted))


@fault_app.command("list")
def list_faults(url: Url = URL) -> None:
    """List the latest fault of each kind, with its state and its true cause."""
    _print(_asked("GET", f"{url}/faults"))


@fault_app.command("end")
def end_fault(name: str, url: Url = URL) -> None:
    """End a fault before its time."""
    _print(_asked("DELETE", f"{url}/faults/{name}"))


def _asked(method: str, url: str, body: object = None) -> object:
    try:
        answer = httpx.request(method, url, json=body, timeout=5.0)
    except httpx.HTTPError as error:
        _fail(f"No answer from {url}: {error}. Is `recwatch-recommender serve` running there?")
    told: object = answer.json()
    if answer.is_error:
        _fail(f"{url} refused: {told['detail'] if isinstance(told, dict) else told}")
    return told


def _print(told: object) -> None:
    typer.echo(json.dumps(told, indent=2))


def _bound(host: str, port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is named; left on, every answer waits 40 ms for an ACK.
    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        _fail(f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with --port.")
    return listening


def _fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
