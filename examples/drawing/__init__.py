"""The figures of the gallery: one module for each script of the folder above, and their shared parts.

A module draws the arguments of its function `draw(...)` and does not import the script.
"""
