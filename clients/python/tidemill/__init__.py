"""Client of tidemill: predictions, features and models over HTTP."""

from ._client import Client
from ._errors import (
    ApiError,
    BadRequest,
    NotAllowed,
    NotFound,
    NotReachable,
    TidemillError,
    TooMany,
    Unavailable,
)
from ._examples import load_examples
from ._types import (
    EntityVector,
    EntityVectors,
    Explanation,
    Model,
    Move,
    Prediction,
    Recommendation,
    Recommendations,
    Scores,
    ScorePoint,
    Vector,
)

__all__ = [
    "ApiError",
    "BadRequest",
    "Client",
    "EntityVector",
    "EntityVectors",
    "Explanation",
    "Model",
    "Move",
    "NotAllowed",
    "NotFound",
    "NotReachable",
    "Prediction",
    "Recommendation",
    "Recommendations",
    "ScorePoint",
    "Scores",
    "TidemillError",
    "TooMany",
    "Unavailable",
    "Vector",
    "load_examples",
]
