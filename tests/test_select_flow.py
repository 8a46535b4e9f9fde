"""Select and publish, as a deployment runs it: chosen once, released once, faults named by their field."""

import polars as pl
import pytest
from huggingface_hub import HfApi, constants

from rookery.flows.release import Destination
from rookery.flows.select_flow import Selection, SelectionError, load, release, select
from rookery.tests.hub_server import serving


def pool(path, rows=60):
    texts = [f"question number {i} about {'sea wind fire stone'.split()[i % 4]}" for i in range(rows)]
    pl.DataFrame(
        {"id": [f"r{i:02}" for i in range(rows)], "text": texts, "score": [i / rows for i in range(rows)]}
    ).write_parquet(path)
    return path


@pytest.mark.usefixtures("prefect_server")
def test_a_selection_is_made_once_and_released_once(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    wanted = Selection(name="best", pool=str(pool(tmp_path / "pool.parquet")), method="highest", budget=10, score=["score"])
    folder = select(wanted, tmp_path)
    chosen = pl.read_parquet(folder / "selected.parquet")
    assert chosen["id"].to_list() == [f"r{i}" for i in range(59, 49, -1)]
    before = (folder / "manifest.json").stat().st_mtime_ns
    select(wanted, tmp_path)
    assert (folder / "manifest.json").stat().st_mtime_ns == before
    where = Destination(repo="me/best", licence="mit")
    with serving() as hub:
        api = HfApi(endpoint=hub.url, token="hf_x")
        tag = release(wanted, folder, where, api)
        assert release(wanted, folder, where, api) == tag
        assert len(hub.repos["me/best"].commits) == 2
        there = hub.contents("me/best")
    assert "license: mit" in there["README.md"].decode()
    (tmp_path / "got.parquet").write_bytes(there["default/train-00000-of-00001.parquet"])
    assert pl.read_parquet(tmp_path / "got.parquet").equals(chosen)

    pool(tmp_path / "pool.parquet", rows=50)
    select(wanted, tmp_path)
    assert pl.read_parquet(folder / "selected.parquet")["id"][0] == "r49", "another pool is selected from anew"


def test_faults_are_named_by_their_field(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text("name: x\npool: p\nmethod: best\nbudget: 5\nsize: 3\n")
    with pytest.raises(SelectionError, match=r"(?s)method: no selector.*size: Extra"):
        load(path)
    with pytest.raises(SelectionError, match="no selection"):
        load(tmp_path / "other.yaml")
