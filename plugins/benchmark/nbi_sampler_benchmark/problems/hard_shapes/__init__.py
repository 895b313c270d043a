"""Hard shapes with known evidence, in one module for each kind of difficulty; `by_name` finds them."""
