"""Files as a bad disk or a hand has left them: cut, with a bit changed, or with another field in the header.

For tests of whatever is read from a file.
"""

from __future__ import annotations

import copy
import json
import random

import numpy as np

MISSING = object()
CHANGES = (MISSING, None, "text", [], -3, 10**30)


def fields_of(value, path=()):
    """Paths of all fields below a value of JSON; of lists the first and the last."""
    keys = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    if isinstance(value, list) or len(keys) > 40:
        keys = keys[:1] + keys[1:][-1:]
    for key in keys:
        yield (*path, key)
        yield from fields_of(value[key], (*path, key))


def tampered(header, n=None, changes=CHANGES):
    """Pairs of a name for people and a header in which one field is missing or another value.

    Of all that there are, or ``n`` of them at random.
    """
    pairs = [(path, change) for path in fields_of(header) for change in changes]
    # Without its seal a file is one of before there were any.
    pairs = [each for each in pairs if each != (("seal",), MISSING)]
    if n is not None:
        pairs = random.Random(1).sample(pairs, n)
    for path, change in pairs:
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


def written(path, header, arrays):
    """Write an archive as numpy does, faster than the package, which waits for the disk."""
    with path.open("wb") as file:
        np.savez(file, header=np.array(json.dumps(header)), **arrays)


def truncations(content, n, seed):
    """Lengths to which a file may be cut, the shortest among them."""
    rng = np.random.default_rng(seed)
    return [content[:length] for length in (0, 7, 50, *rng.integers(50, len(content) - 1, n))]


def flips(content, n, seed):
    """The same bytes with one bit changed, at places that are in use and at any."""
    rng = np.random.default_rng(seed)
    used = np.flatnonzero(np.frombuffer(content, np.uint8))
    for i in range(n):
        changed = bytearray(content)
        at = int(rng.choice(used)) if i % 2 else int(rng.integers(len(content)))
        changed[at] ^= 1 << int(rng.integers(8))
        yield bytes(changed)
