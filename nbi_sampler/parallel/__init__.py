"""Draws handed out to processes, whoever made these, and what to do when one dies or hangs."""
