"""P-P tests, which check that credible intervals hold the true parameters as often as they should.

A family of problems draws parameters from the prior and simulates data with them. Each such problem is run.
"""
