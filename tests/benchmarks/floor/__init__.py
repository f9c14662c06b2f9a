"""The bare floor: the least a Django app can do for the same reads and writes, served in the same way.

Session, user, one update and one history row; one page with as many items; one dashboard of 50 rows; one poll. No
locks, no rules, no hash chain, no gate. Its pages say about the same words in about the same markup, made the plain
way: filters and `{% url %}` in the template.
"""
