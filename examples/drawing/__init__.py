"""The figures of the gallery: a module for each script of the folder above, and what several of them share.

A module draws what its script hands it, and knows nothing of the script: `draw(...)` leaves the picture.
"""
