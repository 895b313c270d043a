"""How observations come about: what instruments and weather do to a model. Used by scripts one folder up."""
