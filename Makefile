# Short names for dev.py, which works without make as well.
.PHONY: run test lint format setup

run test lint format setup:
	python3 dev.py $@
