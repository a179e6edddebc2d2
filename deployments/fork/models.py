"""Pydantic's models that put off their work until they are used, as most of Prefect's do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pydantic import BaseModel
from pydantic.errors import PydanticUserError


def complete_models() -> None:
    """Complete the models that are imported, so that no fork has to: a run uses about twenty of them."""
    for model in set(_below(BaseModel)):
        with suppress(PydanticUserError, NameError):  # names what is not imported; the first use tells
            model.model_rebuild()


def _below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in model.__subclasses__():
        yield each
        yield from _below(each)
