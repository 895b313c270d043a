"""The tasks of sbibm, and comparison of posteriors with its references by a classifier.

Observations and reference draws are read from its wheel. The tasks and the test follow their published
description.
"""
