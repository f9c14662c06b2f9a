"""The pages of checklists: `pages` show, `drafts` and `texts` edit, `acts` change with one press."""
