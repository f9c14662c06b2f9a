"""Reminders that are never lost, never stale, and shown to be so: what should have been sent, against what was.

`model` says what a history owes and imports nothing of the application; `history` makes histories from seeds; `driver`
plays one against the real application; `judge` compares. `chaos` is the long form behind `dev.py chaos`.
"""
