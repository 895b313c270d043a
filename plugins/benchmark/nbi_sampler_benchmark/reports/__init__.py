"""Tables of measured and required figures, and the parts of HTML pages."""
