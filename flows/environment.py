"""The environment of every process of a run, in one place: nothing phones home, and tests stay off the network.

Set before Prefect, Ray or vLLM are imported. A variable that the user has set already is left alone.
"""

from __future__ import annotations

import os

import psutil

SILENT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
PATIENT = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300"}  # its 20 s are too few on a busy small machine
QUIET = {
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_CLI_PROMPT": "false",
    "RAY_DEDUP_LOGS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the coming default: leave CUDA_VISIBLE_DEVICES of CPU actors alone
    "VLLM_LOGGING_LEVEL": "ERROR",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}

DRIVER = "ROOKERY_DRIVER"  # the process that all others of a run belong to; they inherit it


def prepare(*, quiet: bool = True, offline: bool = False) -> None:
    """Set what is not set: telemetry off always, logs low if `quiet`, no Hub if `offline`."""
    os.environ[DRIVER] = str(os.getpid())
    for name, value in {**SILENT, **PATIENT, **(QUIET if quiet else {}), **(OFFLINE if offline else {})}.items():
        os.environ.setdefault(name, value)


def for_actors() -> dict[str, str]:
    """The variables that engine processes on other machines need as well."""
    return {name: os.environ[name] for name in (*SILENT, *QUIET, *OFFLINE) if name in os.environ}


def end_orphans() -> int:
    """End what a killed run left behind: Prefect's temporary server does not notice that its parent is gone. Returns how many."""
    orphans = []
    for process in psutil.process_iter():
        try:
            driver = process.environ().get(DRIVER, "")
        except psutil.Error:  # another user's process, or one that has just ended
            continue
        if driver.isdigit() and not psutil.pid_exists(int(driver)):
            orphans.append(process)
            process.terminate()
    psutil.wait_procs(orphans, timeout=5)
    return len(orphans)
