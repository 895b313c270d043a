"""The tasks of sbibm, whose posteriors are compared with the references of that benchmark by a classifier.

Observations and reference draws are read from its wheel; the tasks and the test are written from their
description.
"""
