"""The cast and a small release, as for the rules."""

from tests.releases.conftest import cast, release

__all__ = ["cast", "release"]
