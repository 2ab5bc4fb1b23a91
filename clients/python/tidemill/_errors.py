"""Errors of the client."""

from __future__ import annotations


class TidemillError(Exception):
    """Any error of the client."""


class NotReachable(TidemillError):
    """The job does not answer, or not in JSON."""


class ApiError(TidemillError):
    """An answer other than 200, with the job's own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class BadRequest(ApiError):
    """400: the caller can mend it; the message names the field and the instance."""


class NotAllowed(ApiError):
    """401 or 403: no token, or one of another role."""


class NotFound(ApiError):
    """404: an unknown model, version, group, entity or route."""


class TooMany(ApiError):
    """429: the job is at a limit."""


class Unavailable(ApiError):
    """503: the model has no version yet, or the registry cannot be used."""


def error_of(status: int, message: str) -> ApiError:
    """Returns the error of a status."""
    kinds = {400: BadRequest, 401: NotAllowed, 403: NotAllowed, 404: NotFound, 429: TooMany, 503: Unavailable}
    return kinds.get(status, ApiError)(status, message)
