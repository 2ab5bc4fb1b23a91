"""The client."""

from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.request
from typing import Any, Iterable, Mapping, Optional, Type, TypeVar
from urllib.parse import quote, urlencode

from ._errors import NotReachable, error_of
from ._types import (
    EntityVector,
    EntityVectors,
    Explanation,
    Model,
    Move,
    Prediction,
    Recommendation,
    Recommendations,
    ScorePoint,
    Scores,
    Vector,
)

T = TypeVar("T")


def _of(kind: Type[T], body: Mapping[str, Any]) -> T:
    """Makes an answer of the fields that this version of the client knows."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    required = {field.name for field in fields if field.default is dataclasses.MISSING}
    known = {field.name: body.get(field.name) for field in fields if field.name in required or field.name in body}
    return kind(**known)


def _segment(value: Any) -> str:
    if isinstance(value, bool):
        value = str(value).lower()
    return quote(str(value), safe="")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token belongs to one host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Client:
    """A client of one job or replica.

    It keeps no connection open and no state, so threads may share it. Proxies of the environment are not used.
    """

    def __init__(self, url: str = "http://127.0.0.1:8080", token: Optional[str] = None, timeout: float = 10.0) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url is {url!r}; expected http://HOST:PORT")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._token = token
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    # Predictions

    def predict(
        self,
        instances: Iterable[Mapping[str, Any]],
        model: Optional[str] = None,
        version: Optional[int] = None,
        features: bool = False,
        explain: bool = False,
    ) -> Prediction:
        """Predicts for instances. `model` may be left out if there is one; `version` is the champion otherwise.

        With `features`, the answer has the model's inputs; with `explain`, what each of them contributes.
        """
        body: dict = {"model": model, "version": version, "instances": list(instances)}
        body.update(features=features or None, explain=explain or None)
        answer = self._post("/predict", body)
        if "explanations" in answer:
            answer["explanations"] = [_of(Explanation, explanation) for explanation in answer["explanations"]]
        return _of(Prediction, answer)

    def recommend(
        self,
        user: Mapping[str, Any],
        model: Optional[str] = None,
        candidates: Optional[Iterable[Mapping[str, Any]]] = None,
        n: Optional[int] = None,
        exclude_seen: Optional[bool] = None,
    ) -> Recommendations:
        """Ranks items for a user: the candidates, else all."""
        listed = None if candidates is None else list(candidates)
        body = {"model": model, "user": dict(user), "candidates": listed, "n": n, "exclude_seen": exclude_seen}
        answer = self._post("/recommend", body)
        answer["items"] = [_of(Recommendation, item) for item in answer["items"]]
        return _of(Recommendations, answer)

    # Features

    def features(self, group: str, *key: Any, window: Optional[str] = None) -> Vector:
        """Returns the newest vector of an entity: the values of its columns, in order. NotFound if it has none."""
        if not key:
            raise TypeError("features() needs the values of the entity's columns")
        path = f"/features/{_segment(group)}/" + "/".join(_segment(value) for value in key)
        return _of(Vector, self._get(path, window=window))

    def entities(
        self, group: str, entities: Iterable[Mapping[str, Any]], window: Optional[str] = None
    ) -> EntityVectors:
        """Returns the newest vectors of up to 1000 entities, in order."""
        answer = self._post(f"/features/{_segment(group)}", {"entities": list(entities), "window": window})
        answer["results"] = [_of(EntityVector, result) for result in answer["results"]]
        return _of(EntityVectors, answer)

    # Models

    def models(self) -> list[Model]:
        """Returns all models."""
        return [_of(Model, model) for model in self._get("/models")["models"]]

    def model(self, name: str) -> Model:
        """Returns one model."""
        return _of(Model, self._get(f"/models/{_segment(name)}"))

    def versions(self, model: str) -> list[dict]:
        """Returns `model.json` of each version."""
        return self._get(f"/models/{_segment(model)}/versions")["versions"]

    def history(self, model: str) -> list[Move]:
        """Returns every move of a model's aliases, the oldest first."""
        return [_of(Move, move) for move in self._get(f"/models/{_segment(model)}/history")["history"]]

    def scores(
        self, model: str, metric: Optional[str] = None, start: Optional[str] = None, end: Optional[str] = None
    ) -> Scores:
        """Returns a metric window by window, of windows that end after `start` and not after `end`."""
        answer = self._get(f"/models/{_segment(model)}/scores", metric=metric, start=start, end=end)
        answer["points"] = [_of(ScorePoint, point) for point in answer["points"]]
        return _of(Scores, answer)

    def promote(
        self,
        model: str,
        version: int,
        alias: Optional[str] = None,
        reason: Optional[str] = None,
        by: Optional[str] = None,
    ) -> Move:
        """Points an alias, the champion unless another is named, at a version."""
        body = {"version": version, "alias": alias, "reason": reason, "by": by}
        return _of(Move, self._post(f"/models/{_segment(model)}/promote", body))

    def rollback(self, model: str, reason: Optional[str] = None, by: Optional[str] = None) -> Move:
        """Makes the champion before the present one champion again."""
        return _of(Move, self._post(f"/models/{_segment(model)}/rollback", {"reason": reason, "by": by}))

    # Health

    def is_ready(self) -> bool:
        """Returns whether every model has a version."""
        try:
            self._get("/health/ready")
        except Exception as error:
            if getattr(error, "status", None) == 503:
                return False
            raise
        return True

    # Requests

    def _get(self, path: str, **query: Optional[str]) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        return self._request(path + ("?" + urlencode(given) if given else ""), None)

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        given = {name: value for name, value in body.items() if value is not None}
        # Neither JSON nor an instance has a value that is not finite.
        return self._request(path, json.dumps(given, allow_nan=False).encode())

    def _request(self, path: str, body: Optional[bytes]) -> Any:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        try:
            with self._opener.open(request, timeout=self.timeout) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise error_of(error.code, _message(error.read(), error.reason)) from None
        except (urllib.error.URLError, OSError) as error:
            raise NotReachable(f"{self.url} cannot be reached: {getattr(error, 'reason', error)}") from error
        try:
            return json.loads(text)
        except ValueError as error:
            raise NotReachable(f"{self.url}{path}: the answer is not JSON") from error


def _message(body: bytes, otherwise: Any) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return str(otherwise)
