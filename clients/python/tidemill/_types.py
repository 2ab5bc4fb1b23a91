"""Answers of the endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Union

#: A number; an object of class -> probability; the number of a cluster.
PredictedValue = Union[float, int, Mapping[str, float]]


#: A number, or an object of class -> number.
ExplainedValue = Union[float, Mapping[str, float]]


@dataclass(frozen=True)
class Explanation:
    """A prediction before its link, as a sum: the base and all contributions, which add up to it exactly."""

    base: ExplainedValue
    #: By input, or by cross.
    contributions: Mapping[str, ExplainedValue]


@dataclass(frozen=True)
class Prediction:
    """Predictions of one version, one for each instance."""

    model: str
    version: int
    #: The time as of which features were looked up, in RFC 3339; None before the first record.
    watermark: Optional[str]
    predictions: Sequence[PredictedValue]
    #: The model's inputs for each instance, if they were asked for.
    features: Optional[Sequence[Mapping[str, Any]]] = None
    #: An explanation of each prediction, if they were asked for.
    explanations: Optional[Sequence[Explanation]] = None


@dataclass(frozen=True)
class Vector:
    """The newest features of an entity."""

    group: str
    entity: Mapping[str, Any]
    features: Mapping[str, Any]
    watermark: Optional[str]


@dataclass(frozen=True)
class EntityVector:
    """The features of one of many entities; None if it was not found."""

    #: "found" or "not_found".
    status: str
    entity: Mapping[str, Any]
    features: Optional[Mapping[str, Any]]
    #: What is wrong with the entity, if it is none of the group.
    error: Optional[str] = None


@dataclass(frozen=True)
class EntityVectors:
    """The features of many entities, in the order of the request."""

    results: Sequence[EntityVector]
    watermark: Optional[str]


@dataclass(frozen=True)
class Model:
    """A model and its versions."""

    name: str
    kind: str
    #: The version that answers; None before the first.
    champion: Optional[int]
    versions: Sequence[int]


@dataclass(frozen=True)
class Move:
    """A move of a model's aliases."""

    time: str
    wall_time: str
    aliases: Mapping[str, int]
    moved: Any
    reason: Optional[str]
    by: Optional[str]
    number: Optional[int] = None
    #: The number of the move that this one takes back, if it is a rollback.
    reverts: Optional[int] = None


@dataclass(frozen=True)
class ScorePoint:
    """A metric in one window, by role; None where there is no answer."""

    window_end: str
    champion: Optional[float]
    predecessor: Optional[float]
    newest: Optional[float]
    no_skill: Optional[float]


@dataclass(frozen=True)
class Scores:
    """A metric window by window."""

    metric: str
    points: Sequence[ScorePoint]


@dataclass(frozen=True)
class Recommendation:
    """An item and its score."""

    item: Mapping[str, Any]
    score: float


@dataclass(frozen=True)
class Recommendations:
    """The best items for a user, best first."""

    model: str
    version: int
    #: "model", or "popularity" for a user without records.
    by: str
    items: Sequence[Recommendation]
