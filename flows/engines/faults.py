"""What is wrong with a model that a recipe names, found without loading it: files, template, Hub."""

from __future__ import annotations

import json
from pathlib import Path

from ...schemas.tables import Turn
from ...schemas.template import TemplateError
from .openings import TemplateSpec
from .tokens import Chatter, tokenizer_of


def template_faults(model: str) -> list[str]:
    """Whether a model's folder holds a chat template."""
    folder = Path(model)
    stored = folder / "tokenizer_config.json"
    inline = stored.is_file() and "chat_template" in json.loads(stored.read_text(encoding="utf-8"))
    if inline or (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return []
    return [f"model: {model} has no chat template (it is a base model?); name an aligned, instruct model"]


def opening_faults(model: str, revision: str | None, template: TemplateSpec, steered: bool) -> list[str]:
    """Whether the model's template has a place where the user starts to speak: Magpie's pre-query."""
    steering = (Turn("system", "Users ask about birds."),) if steered else ()
    try:
        Chatter(tokenizer_of(model, revision), model, template).user_ids(steering)
    except (TemplateError, OSError, ValueError) as error:
        return [f"model: {model}: {error}"]
    return []


def hub_faults(model: str, revision: str | None) -> list[str]:
    """Whether the Hub has the model, and lets us have it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        snapshot_download(model, revision=revision, allow_patterns=["config.json", "tokenizer_config.json"])
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        why = str(error).splitlines()[0]
        return [
            f"model: {model!r} is neither a folder here nor to be had from the Hub ({type(error).__name__}: {why}); "
            "check the name, log in with `hf auth login` if it is gated, or name a folder"
        ]
    return []
