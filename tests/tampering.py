"""Headers with one field changed, for every field of their tree: what somebody may have done by hand."""

from __future__ import annotations

import copy

MISSING = object()
CHANGES = (MISSING, None, "text", [], -3, 10**30)


def fields_of(value, path=()):
    """Paths of all fields below a value of JSON; of long lists the first and the last."""
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = sorted({0, len(value) - 1} & set(range(len(value))))
    else:
        keys = []
    for key in keys:
        yield (*path, key)
        yield from fields_of(value[key], (*path, key))


def tampered(header, changes=CHANGES):
    """Pairs of a name for people and a header in which one field is missing or another value."""
    for path in fields_of(header):
        for change in changes:
            changed = copy.deepcopy(header)
            within = changed
            for key in path[:-1]:
                within = within[key]
            if change is MISSING:
                del within[path[-1]]
            elif type(within[path[-1]]) is type(change) and within[path[-1]] == change:
                continue
            else:
                within[path[-1]] = change
            yield f"{'.'.join(map(str, path))}={'missing' if change is MISSING else change}", changed
