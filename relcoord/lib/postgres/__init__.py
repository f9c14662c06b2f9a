"""PostgreSQL as Django has it, where a kept connection is looked at without asking the server."""
