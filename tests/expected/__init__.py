"""What must hold, written by hand as data; `tests/flows/test_expected_tables.py` drives it over HTTP."""
