"""A release on the Hugging Face Hub: shards uploaded first, then one commit with its parent named, then a tag.

A reader never sees half a dataset: uploaded shards are invisible until the commit, and the commit holds everything (data, card,
recipe, manifest, and the removal of files that the dataset no longer has). `push_to_hub` of `datasets` splits more than 50
files over several commits; this does not. The parent makes it an optimistic lock: if somebody committed meanwhile (412), the
repository is read anew, the card merged, and the commit tried again. Each try begins by comparing the repository with what is to be there; so
nothing is pushed twice, a run that was killed goes on where it stopped, and an answer that got lost is no second commit.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from ..schemas.errors import PlainError
from .card import merged

log = logging.getLogger(__name__)
# The first base is that of the HTTP client beneath huggingface_hub, httpx or its successor: timeouts, lines that broke. A server
# in trouble answers in HTML where the client reads JSON.
FAULTS: tuple[type[Exception], ...] = (HfHubHTTPError.__bases__[0], OSError, json.JSONDecodeError)
RAISED: tuple[type[Exception], ...] = (*FAULTS, RuntimeError)  # in the last the client wraps what befell an upload
Done = TypeVar("Done")
Keep = Callable[[str], bool]  # whether a shard of the repository is another run's, and stays
OURS = (".parquet",)  # files of ours in the repository that may be removed when the dataset has them no more
CHUNK = 1 << 20


class ReleaseError(PlainError, RuntimeError):
    """The release did not go through. The message says what is there now and what to do."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to be there, with both digests by which the Hub knows contents."""

    name: str
    path: Path
    size: int
    sha256: str
    blob: str  # git's digest of a file that is no LFS file


@dataclass(frozen=True, slots=True)
class State:
    """A repository at one commit: files by name with their digest (SHA-256 for LFS files, git's for the others)."""

    commit: str | None
    files: dict[str, str]
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a release changes."""

    add: tuple[File, ...]
    delete: tuple[str, ...]
    unchanged: tuple[str, ...]

    @property
    def bytes_added(self) -> int:
        return sum(file.size for file in self.add)


@dataclass(frozen=True, slots=True)
class Release:
    """What was done. `commit` is None after a dry run."""

    repo: str
    tag: str
    commit: str | None
    plan: Plan
    tries: int


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to try again after 412, 429, 5xx and lost connections, and how long to wait: twice as long each time."""

    tries: int = 6
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 60.0


PATIENCE = Patience()


def _nothing(name: str) -> bool:
    return False


def publish(
    folder: Path,
    repo: str,
    *,
    tag: str,
    api: HfApi,
    private: bool = True,
    dry_run: bool = False,
    patience: Patience = PATIENCE,
    keep: Keep = _nothing,
) -> Release:
    """Make the dataset repository hold what the folder holds, in one commit, and tag it.

    A new repository is private unless told otherwise; of an existing one the visibility stays. Shards of the repository that the folder
    does not hold are removed, but for those that are to be kept.

    Raises:
        ReleaseError: when patience is spent, or the Hub says no (a missing right, a name that is taken).
    """
    local = [_file(folder, path) for path in _paths(folder)]
    attempt = _Attempts(repo, patience)
    if dry_run:
        return Release(repo, tag, None, plan(local, attempt(lambda: read(api, repo)), keep), attempt.made)
    attempt(lambda: api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True))
    with TemporaryDirectory() as scratch:
        release = attempt(lambda: _commit(api, repo, tag, local, Path(scratch), keep))
    known = {name: commit for name, commit in attempt(lambda: read(api, repo)).tags.items() if commit == release.commit}
    if tag not in known and not any(name.rsplit("-", 1)[-1] == tag.rsplit("-", 1)[-1] for name in known):
        attempt(lambda: api.create_tag(repo, repo_type="dataset", tag=tag, revision=release.commit, exist_ok=True))
    named = tag if tag in known or not known else sorted(known)[-1]
    return Release(repo, named, release.commit, release.plan, attempt.made)


def tag_of(date: str, fingerprint: str) -> str:
    """The tag of a run: `run-2026-11-23-1a2b3c4d`."""
    return f"run-{date}-{fingerprint[:12]}"


def plan(local: list[File], state: State, keep: Keep = _nothing) -> Plan:
    """The difference between what is to be there and what is."""
    add: list[File] = []
    unchanged: list[File] = []
    for file in local:
        (unchanged if state.files.get(file.name) in (file.sha256, file.blob) else add).append(file)
    wanted = {file.name for file in local}
    delete = sorted(name for name in state.files if name.endswith(OURS) and name not in wanted and not keep(name))
    return Plan(tuple(add), tuple(delete), tuple(file.name for file in unchanged))


def read(api: HfApi, repo: str) -> State:
    """The repository as it is; one that does not exist is empty."""
    try:
        info = api.dataset_info(repo, files_metadata=True)
        refs = api.list_repo_refs(repo, repo_type="dataset")
    except RepositoryNotFoundError:
        return State(None, {}, {})
    files = {one.rfilename: (one.lfs.sha256 if one.lfs else one.blob_id or "") for one in info.siblings or []}
    return State(info.sha, files, {ref.name: ref.target_commit for ref in refs.tags})


def _commit(api: HfApi, repo: str, tag: str, local: list[File], scratch: Path, keep: Keep) -> Release:
    """One try: read, compare, upload what is missing, commit on top of what was read."""
    state = read(api, repo)
    local = [_with_their_card(api, repo, state, file, scratch) for file in local]
    change = plan(local, state, keep)
    if not change.add and not change.delete:
        return Release(repo, tag, state.commit, change, 0)
    adds = [CommitOperationAdd(file.name, str(file.path)) for file in change.add]
    shards = [add for add in adds if add.path_in_repo.endswith(OURS)]
    if shards:
        api.preupload_lfs_files(repo, shards, repo_type="dataset", free_memory=False)
    done = api.create_commit(
        repo,
        [*adds, *(CommitOperationDelete(name) for name in change.delete)],
        repo_type="dataset",
        commit_message=f"Rookery: {tag}",
        parent_commit=state.commit,
    )
    return Release(repo, tag, done.oid, change, 0)


def _with_their_card(api: HfApi, repo: str, state: State, file: File, scratch: Path) -> File:
    """The card, with what somebody else put into its front matter; any other file as it is."""
    theirs = state.files.get(file.name)
    if file.name != "README.md" or theirs is None or theirs in (file.sha256, file.blob):
        return file
    there = api.hf_hub_download(repo, file.name, repo_type="dataset", revision=state.commit, local_dir=scratch / "theirs")
    mended = merged(file.path.read_text(encoding="utf-8"), Path(there).read_text(encoding="utf-8"))
    (scratch / "README.md").write_text(mended, encoding="utf-8")
    return _file(scratch, scratch / "README.md")


class _Attempts:
    """Does something, and does it again after a fault that passes."""

    def __init__(self, repo: str, patience: Patience) -> None:
        self._repo, self._patience = repo, patience
        self.made = 0

    def __call__(self, what: Callable[[], Done]) -> Done:
        wait = self._patience.first_wait_seconds
        for left in reversed(range(self._patience.tries)):
            self.made += 1
            try:
                return what()
            except RAISED as raised:
                fault = raised if isinstance(raised, FAULTS) else raised.__cause__
                if not isinstance(fault, FAULTS):
                    raise
                if not left or not _passes(fault):
                    raise ReleaseError(_explained(self._repo, fault, self._patience.tries - left)) from fault
                pause = min(max(wait, _asked_for(fault)), self._patience.longest_wait_seconds)
                log.warning("%s: %s; trying again in %.1f s", self._repo, _said(fault), pause)
                time.sleep(pause)
                wait *= 2
        raise AssertionError("unreachable: the last try returns or raises")


def _passes(fault: Exception) -> bool:
    """Whether trying again can help: a conflict, a quota, a server in trouble, a line that broke."""
    status = getattr(getattr(fault, "response", None), "status_code", None)
    return status is None or status in (408, 409, 412, 429) or status >= 500


def _asked_for(fault: Exception) -> float:
    headers = getattr(getattr(fault, "response", None), "headers", {})
    said = headers.get("Retry-After", "")
    return float(said) if said.isdigit() else 0.0


def _said(fault: Exception) -> str:
    return f"{type(fault).__name__}: {str(fault).strip().splitlines()[0] if str(fault).strip() else 'no message'}"


def _explained(repo: str, fault: Exception, tries: int) -> str:
    status = getattr(getattr(fault, "response", None), "status_code", None)
    remedies = {
        401: "log in with `hf auth login`, or set HF_TOKEN to a token that may write",
        403: f"the token may not write to {repo}; use one that may, or another name",
        404: f"check the name {repo}, and that the token may see it",
    }
    remedy = remedies.get(status or 0, "the repository is as it was, or complete; run the same command again")
    return f"{repo} was not released after {tries} tries ({_said(fault)}): {remedy}"


def _paths(folder: Path) -> Iterator[Path]:
    """The folder's files in order. Hidden ones are not ours to publish."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    yield from (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    if not found:
        raise ReleaseError(f"{folder} holds no files; run the recipe first")


def _file(folder: Path, path: Path) -> File:
    size = path.stat().st_size
    sha, blob = hashlib.sha256(), hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            sha.update(chunk)
            blob.update(chunk)
    return File(path.relative_to(folder).as_posix(), path, size, sha.hexdigest(), blob.hexdigest())
