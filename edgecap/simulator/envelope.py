"""The envelope of every JSON answer, and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgecap.errors import EdgecapError


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal of a request.

    Attributes:
        status: the HTTP status.
        code: the `code` in the envelope.
        message: the `message` in the envelope.
        retry_after: whether the answer has a retry-after header.
    """

    status: int
    code: int
    message: str
    retry_after: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of an envelope's `errors`."""

    code: int
    message: str
    pointer: str = ""
    chain: tuple[tuple[int, str], ...] = ()

    def body(self) -> dict[str, Any]:
        """The entry as JSON."""
        entry: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.pointer:
            entry["source"] = {"pointer": self.pointer}
        if self.chain:
            entry["error_chain"] = [{"code": code, "message": message} for code, message in self.chain]
        return entry


class Refused(EdgecapError):
    """The edge refuses a request. The app turns it into an answer.

    Args:
        status: the HTTP status.
        problems: the errors in the envelope.
        headers: additional headers of the answer.
    """

    def __init__(
        self, status: int, problems: tuple[Problem, ...], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.status = status
        self.problems = problems
        self.headers = dict(headers or {})

    @classmethod
    def by(cls, refusal: Refusal, *, wait: float | None = None, pointer: str = "") -> Refused:
        """The refusal as defined by a variant.

        Args:
            refusal: status, code and wording.
            wait: seconds after which a retry makes sense, sent only if the refusal has `retry_after`.
            pointer: JSON pointer to the invalid field.
        """
        headers = {}
        if refusal.retry_after and wait is not None:
            headers["retry-after"] = str(max(1, -int(-wait // 1)))
        return cls(refusal.status, (Problem(refusal.code, refusal.message, pointer),), headers)


def no_route(path: str, *, status: int) -> Refused:
    """The answer to an unknown path (404), or to an id in the wrong form (400)."""
    return Refused(
        status,
        (
            Problem(7003, f"Could not route to {path}, perhaps your object identifier is invalid?"),
            Problem(7000, "No route for that URI"),
        ),
    )


def wrapped(result: Any, **more: Any) -> dict[str, Any]:
    """The envelope of a success."""
    return {"result": result, "success": True, "errors": [], "messages": [], **more}


def failure(problems: tuple[Problem, ...]) -> dict[str, Any]:
    """The envelope of a refusal."""
    errors = [problem.body() for problem in problems]
    return {"result": None, "success": False, "errors": errors, "messages": []}
