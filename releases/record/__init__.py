"""The release's record: one frozen value, and its forms on paper and in files."""

from releases.record.as_csv import as_csv
from releases.record.as_json import as_data, as_json
from releases.record.as_markdown import as_markdown
from releases.record.build import build
from releases.record.values import Record

__all__ = ["Record", "as_csv", "as_data", "as_json", "as_markdown", "build"]
