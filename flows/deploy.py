"""Recipes as deployments: what `prefect.yaml` calls while deploying, and server, worker and deployments on one machine.

`prefect.yaml` names a recipe file for each deployment; the build step below reads it, so that the deployment's parameter is the whole
recipe, which Prefect shows as a form, and there is no second copy of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from ..schemas.errors import PlainError
from .recipe_file import load
from .select_flow import load as load_selection

STARTS_WITHIN_SECONDS = 300.0  # the server, on a busy small machine


class ServeError(PlainError, RuntimeError):
    """Server, pool, deployments or worker did not start. The message says which, and what it said."""


def read_recipe(path: str) -> dict[str, object]:
    """A build step: the recipe of a file, checked, as plain values under `tree`; under `folder` where runs shall start."""
    return {"tree": load(Path(path)).model_dump(mode="json"), "folder": str(Path.cwd())}


def read_selection(path: str) -> dict[str, object]:
    """The same of a selection."""
    return {"tree": load_selection(Path(path)).model_dump(mode="json"), "folder": str(Path.cwd())}


def serve(folder: Path, *, host: str, port: int, pool: str, limit: int) -> None:
    """Start Prefect's server, make the work pool, deploy all of the folder's prefect.yaml, and run a worker until it ends.

    Raises:
        ServeError: if any of them fails.
    """
    if not (folder / "prefect.yaml").is_file():
        raise ServeError(f"{folder} has no prefect.yaml; run this in the folder that holds it, or name it with --folder")
    url = f"http://{host}:{port}/api"
    environment = {**os.environ, "PREFECT_API_URL": url, "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false"}
    server = ["server", "start", "--host", host, "--port", str(port)]
    with running(server, folder, environment) as started:
        wait_for(f"{url}/health", started)
        _run(["work-pool", "create", pool, "--type", "process", "--overwrite"], folder, environment)
        _run(["work-pool", "set-concurrency-limit", pool, str(limit)], folder, environment)
        _run(["--no-prompt", "deploy", "--all"], folder, environment)
        with running(["worker", "start", "--pool", pool, "--name", f"{pool}-{os.getpid()}"], folder, environment) as worker:
            while started.poll() is None and worker.poll() is None:
                time.sleep(0.5)
            ended = "the server" if started.poll() is not None else "the worker"
            raise ServeError(f"{ended} has ended; its last words are above")


@contextmanager
def running(
    arguments: Sequence[str], folder: Path, environment: dict[str, str], output: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A Prefect command that goes on until the block ends; it and its children are ended by the signal that they know."""
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect", *arguments], cwd=folder, env=environment, stdout=output, stderr=output
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def _run(arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise ServeError(f"`prefect {' '.join(arguments)}` failed:\n{ran.stdout.strip()}\n{ran.stderr.strip()}")


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server that was started answers.

    Raises:
        ServeError: if it ends, or does not answer in time.
    """
    ends = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < ends:
        if server.poll() is not None:
            raise ServeError(f"the server has ended with {server.returncode}; is its port taken? Choose another with --port")
        try:
            if httpx.get(url, timeout=2.0).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise ServeError(f"{url} gives no answer after {STARTS_WITHIN_SECONDS:.0f} s")
