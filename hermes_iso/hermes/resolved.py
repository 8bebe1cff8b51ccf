"""Resolved: which models a Hermes profile means, as the helper's answer says it, read strictly as data.

Who answers has read an operator's own files with an operator's own package; still nothing is taken from it but bounded texts
and numbers of the expected shapes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Mode: TypeAlias = Literal["chat_completions", "codex_responses", "anthropic_messages"]
Strategy: TypeAlias = Literal["fill_first", "round_robin", "random", "least_used"]
ANSWER_BYTES = 4 << 20
"""Longest answer of the helper."""

_Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Word = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x20\x7f]*$")]
_Key = Annotated[str, Field(min_length=1, max_length=16 << 10)]
_Url = Annotated[str, Field(max_length=2000, pattern=r"^https?://[\x21-\x7e]+$")]
_File = Annotated[str, Field(max_length=1 << 20)]


class ResolverFaultError(Exception):
    """The helper gave no answer that can be used; the text says why, and holds nothing of the answer."""


@dataclass(frozen=True, slots=True)
class PoolKey:
    """One key of a pool. until: Unix time up to which its provider wants to be left alone with it, or 0."""

    key: str = field(repr=False)
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class HermesModel:
    """One model as Hermes resolved it.

    bearer: whether its key goes into Authorization where the dialect has a header of its own for it.
    headers: what Hermes' clients send along. strategy: which of several keys is taken.
    expires_at: Unix time at which a login's token ends, or None.
    """

    provider: str
    model: str
    base_url: str
    api_mode: Mode
    keys: tuple[PoolKey, ...] = ()
    bearer: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    strategy: Strategy = "fill_first"
    expires_at: float | None = None
    context_length: int | None = None


OFFLINE = HermesModel("custom", "offline", "http://offline/v1", "chat_completions")
"""The built-in offline model, which no provider answers."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A model that can't be used. kind: refused (by its nature), missing (a key or a login), failed. sentence: why."""

    kind: Literal["refused", "missing", "failed"]
    sentence: str
    provider: str = ""


Outcome: TypeAlias = HermesModel | Unusable


@dataclass(frozen=True, slots=True)
class Resolved:
    """Every model of a profile. auxiliary: by task, those that are not whatever the main model is.

    subagents: None where they have the main model. tokens: the token files as they stand after it, by their names.
    """

    main: Outcome
    fallbacks: tuple[Outcome, ...] = ()
    auxiliary: Mapping[str, Outcome] = field(default_factory=dict)
    subagents: Outcome | None = None
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def named(self) -> Mapping[str, HermesModel]:
        """Every model that can be used, by what it is for: main, fallback-1, …, subagents, and the auxiliary tasks."""
        found: dict[str, Outcome | None] = {"main": self.main}
        found |= {f"fallback-{number}": model for number, model in enumerate(self.fallbacks, 1)}
        found |= {"subagents": self.subagents, **self.auxiliary}
        return {name: model for name, model in found.items() if isinstance(model, HermesModel)}

    @property
    def expires_at(self) -> float | None:
        """When the first of the logins ends."""
        return min((model.expires_at for model in self.named.values() if model.expires_at), default=None)


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class _KeyShape(_Shape):
    id: _Text
    key: _Key
    until: float | None


class _ErrorShape(_Shape):
    kind: Literal["refused", "missing", "failed"]
    sentence: Annotated[str, Field(max_length=20_000)]
    provider: Annotated[str, Field(max_length=200)] = ""


class _FailedShape(_Shape):
    error: _ErrorShape


class _ModelShape(_Shape):
    provider: _Word
    model: _Word
    base_url: _Url
    api_mode: Mode
    scheme: Literal["bearer", "x-api-key"]
    headers: Annotated[dict[_Word, _Text], Field(max_length=64)]
    keys: Annotated[list[_KeyShape], Field(max_length=64)]
    strategy: Strategy
    expires_at: float | None
    context_length: Annotated[int, Field(ge=1, le=1 << 40)] | None


_Either: TypeAlias = _FailedShape | _ModelShape


class _AnswerShape(_Shape):
    version: _Text
    main: _Either
    fallbacks: Annotated[list[_Either], Field(max_length=32)]
    auxiliary: Annotated[dict[_Word, _Either], Field(max_length=64)]
    subagents: _Either | None
    auth: Annotated[dict[_Text, _File], Field(max_length=4)]


def read_answer(raw: bytes) -> Resolved:
    """Return what a helper's answer says. Raises ResolverFaultError."""
    try:
        answer = _AnswerShape.model_validate(json.loads(raw))
    except ValidationError as error:
        places = ", ".join(sorted({".".join(map(str, each["loc"][:3])) for each in error.errors(include_input=False)})[:3])
        raise ResolverFaultError(f"its answer has another form than is known here ({places})") from None
    except (ValueError, RecursionError):
        raise ResolverFaultError("its answer is no JSON") from None
    return Resolved(
        main=_outcome(answer.main),
        fallbacks=tuple(map(_outcome, answer.fallbacks)),
        auxiliary={task: _outcome(model) for task, model in answer.auxiliary.items()},
        subagents=_outcome(answer.subagents) if answer.subagents else None,
        tokens=answer.auth,
    )


def _outcome(shape: _Either) -> Outcome:
    if isinstance(shape, _FailedShape):
        error = shape.error
        text = "".join(char if char.isprintable() else " " for char in error.sentence)
        sentence = " ".join(text.split())[:500].rstrip(".")
        return Unusable(error.kind, sentence, error.provider)
    return HermesModel(
        provider=shape.provider,
        model=shape.model,
        base_url=shape.base_url,
        api_mode=shape.api_mode,
        keys=tuple(PoolKey(each.key, each.until or 0.0) for each in shape.keys),
        bearer=shape.scheme == "bearer" and shape.api_mode == "anthropic_messages",
        headers=shape.headers,
        strategy=shape.strategy,
        expires_at=shape.expires_at,
        context_length=shape.context_length,
    )
