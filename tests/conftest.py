"""One environment for all tests: no network, no telemetry, Prefect's data in a folder of its own, one Prefect server, one Ray."""

import os
import subprocess
import sys
import tempfile

os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="rookery-prefect-")  # before Prefect is imported

from rookery.flows import environment

environment.prepare(offline=True)

import pytest
from support import DEMO, free_port, wait_for


@pytest.fixture(scope="session")
def prefect_server():
    """One real Prefect server for all flows of a session; a flow of its own would start another for eight seconds."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"{url}/health", process, 240)
        os.environ["PREFECT_API_URL"] = url
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: url}):
            yield url
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def ray_here():
    """One local Ray for the tests that run in this process."""
    import ray

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def demo_chat() -> str:
    """The folder of the demo chat model."""
    return str(DEMO / "chat")
