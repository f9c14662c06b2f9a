"""What must hold, written by hand as data; `tests/pages/test_expected_tables.py` drives it over HTTP."""
