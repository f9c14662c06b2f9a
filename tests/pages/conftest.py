"""The cast and a small release, as for the rules."""

from tests.noon import from_noon_on
from tests.releases.conftest import cast, release

__all__ = ["cast", "from_noon_on", "release"]
