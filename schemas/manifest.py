"""What a stage and a run say of themselves, written last: a folder without a manifest is not finished."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

FORMAT = 1  # of everything below a run's folder; raised when a reader of today could not read it


class Part(BaseModel):
    """One committed file."""

    model_config = ConfigDict(frozen=True)

    file: str
    rows: int
    sha256: str


class StageManifest(BaseModel):
    """One finished stage."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    stage: str
    fingerprint: str
    made_from: dict[str, object]  # all that the fingerprint is a digest of
    rows_in: int
    rows_out: dict[str, int]  # by table
    dropped: dict[str, int]  # by reason
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0  # of work, over all the runs that it took
    gpu_hours: float = 0.0  # held, loading included
    money: float = 0.0  # by the budget's prices
    parts: list[Part]


class StageStatus(BaseModel):
    """How far a stage is that is at work: told every few seconds, gone when it is finished."""

    model_config = ConfigDict(frozen=True)

    stage: str
    rows: int  # to be done
    done: int  # rows done, dropped ones included
    dropped: dict[str, int]  # by reason
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    at: float  # when this was told, seconds since 1970


class RunManifest(BaseModel):
    """One finished run."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    name: str
    recipe: str  # fingerprint
    versions: dict[str, str]
    stages: list[str]  # folders, in order
    exports: dict[str, list[Part]]
    skipped: dict[str, dict[str, int]]  # export -> reason -> rows
    stopped: dict[str, str] = {}  # stage -> the limit of the budget that stopped it; a partial dataset if not empty
