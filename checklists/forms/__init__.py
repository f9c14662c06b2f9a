"""What people type: the draft of a checklist, its fields, and texts pasted or uploaded."""
