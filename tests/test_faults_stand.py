"""The deliberate faults of `tests.acceptance.faults` can still be made: each line they change stands exactly once."""

import pytest

from tests.acceptance.faults import FAULTS, ROOT, Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_line_a_fault_changes_stands_exactly_once(fault: Fault) -> None:
    text = (ROOT / fault.file).read_text(encoding="utf-8")
    assert text.count(fault.old) == 1
    assert fault.new != fault.old


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_tests_that_guard_against_a_fault_exist(fault: Fault) -> None:
    assert fault.tests
    assert [path for path in fault.tests if not (ROOT / path).exists()] == []
