"""Imports point down. The table is DESIGN's: who may import whom, and who alone may know Prefect, Ray and vLLM."""

import ast
import subprocess
import sys

import pytest
from support import ROOT

ROOMS = {
    "schemas": set(),
    "generators": {"schemas"},
    "filters": {"schemas"},
    "selectors": {"schemas"},
    "flows": {"schemas", "generators", "filters", "selectors", "flows"},
}
ONLY_IN_FLOWS = {"ray", "prefect", "vllm", "openai", "typer", "trl"}
ONE_HOME = {
    "ray": {"flows/cluster.py", "flows/worker.py", "flows/metrics.py"},
    "vllm": {"flows/engines/vllm.py"},
    "trl": {"flows/training/trl.py"},
}
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imports(path):
    """(room of ours or None, top-level package) for each import in a file."""
    depth = len(path.relative_to(ROOT).parts) - 1
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = (*path.relative_to(ROOT).parts[: depth + 1 - node.level], *(node.module or "").split("."))
            yield next((part for part in parts if part), None), None
        elif isinstance(node, ast.ImportFrom):
            yield None, (node.module or "").split(".")[0]
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield None, name.name.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    room = path.relative_to(ROOT).parts[0]
    where = path.relative_to(ROOT).as_posix()
    for ours, package in imports(path):
        if ours is not None and ours in ROOMS:
            assert ours == room or ours in ROOMS[room], f"{where} imports {ours}"
        assert ours != "data", f"{where} imports data: what ships is no library"
        assert package != "rookery", f"{where}: inside the package, imports are relative"
        assert package not in ONLY_IN_FLOWS or room == "flows", f"{where} imports {package}"
        if package in ONE_HOME:
            assert where in ONE_HOME[package], f"{where} imports {package}, whose home is {ONE_HOME[package]}"


def test_selectors_does_not_hide_the_standard_library():
    assert not (ROOT / "selectors" / "__init__.py").exists()
    code = "import subprocess, selectors, asyncio; assert 'rookery' not in (selectors.__file__ or ''); import rookery.selectors"
    for folder in (ROOT, ROOT.parent):
        subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


def test_no_conftest_at_the_root():
    assert not (ROOT / "conftest.py").exists(), "pytest would import the whole package a second time under the folder's name"
