"""Hard shapes whose evidence is known, in files by what makes them hard; `by_name` finds them."""
