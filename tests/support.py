"""Where things are, and how to wait for a server."""

import socket
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "data" / "demo"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen, seconds: float) -> None:
    """Wait until a server of ours answers; its log is shown if it does not."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        assert process.poll() is None, f"the server of {url} has ended with {process.returncode}"
        try:
            urllib.request.urlopen(url, timeout=2)
            return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(f"{url} does not answer after {seconds} s")
