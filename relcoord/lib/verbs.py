"""What a view is for: every view says which verb of its app's permission table it carries out."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def needs(verb: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a view with its verb (`view.verb`). It only marks: the app's own `permissions` decides."""

    def mark(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def marked(*args: P.args, **kwargs: P.kwargs) -> R:
            return view(*args, **kwargs)

        marked.verb = verb  # type: ignore[attr-defined]
        return marked

    return mark
