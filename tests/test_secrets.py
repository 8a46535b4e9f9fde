"""A key never reaches what a run writes or prints: not even when the server says it back to us in its error."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
import pytest

from rookery.flows.build import build
from rookery.flows.recipe_file import RecipeError, parse
from rookery.flows.release import stage

KEY = "sk-rookery-0123456789abcdef0123456789abcdef"


@pytest.fixture
def telltale():
    """A server that refuses every request and repeats the key in its message."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            said = f"wrong key {self.headers['Authorization'].removeprefix('Bearer ')}"
            seen.append(self.headers["Authorization"])
            body = json.dumps({"error": {"message": said, "code": "invalid_api_key"}}).encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", seen
    server.shutdown()
    server.server_close()


def recipe(**judge):
    engines = {"main": {"engine": "fake", "cpus": 0.1}, "judge": {"engine": "endpoint", "model": "m", **judge}}
    tree = {"name": "s", "engines": engines, "generate": {"method": "magpie", "rows": 6}, "answer": {"k": 2}}
    return parse({**tree, "judge": {"method": "pointwise", "engine": "judge"}})


@pytest.mark.usefixtures("ray_here", "prefect_server")
def test_a_key_reaches_the_server_and_nothing_else(tmp_path, telltale, monkeypatch, capfd):
    url, seen = telltale
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HF_TOKEN", KEY.replace("sk", "hf"))
    run = build(recipe(url=url, retries=0, cpus=0.1), tmp_path)
    assert f"Bearer {KEY}" in seen, "the engine had the key"
    stage(run, licence="mit")
    written = [path for path in run.rglob("*") if path.is_file()]
    assert {"recipe.yaml", "manifest.json", "report.html", "README.md"} <= {path.name for path in written}
    for path in written:
        content = path.read_bytes()
        assert KEY.encode() not in content, path
        assert KEY[3:].encode() not in content, path
    shown = "".join(capfd.readouterr())
    assert KEY[3:] not in shown
    [reason] = pl.read_parquet(run / "stages/*-judge-*/part-*.parquet")["reason"].unique()
    assert "wrong key ***" in reason, "what the server said is kept, without the key"


def test_a_key_in_a_recipe_is_refused():
    with pytest.raises(RecipeError, match="api_key_env"):
        recipe(url="http://h/v1", api_key_env=KEY)
    for url in (f"http://me:{KEY}@h/v1", f"http://h/v1?key={KEY}"):
        with pytest.raises(RecipeError, match="put keys into") as refused:
            recipe(url=url)
        assert KEY not in str(refused.value)
