"""Tables of what was measured beside what is required, and the parts of HTML pages."""
