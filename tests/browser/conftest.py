"""Pages as a browser shows them, at the fixed hour of the rules: a page goes by its server's clock, not the browser's."""

from tests.noon import from_noon_on

__all__ = ["from_noon_on"]
