"""P-P tests, which show that parameters are in their credible intervals as often as these say.

A family of problems draws its parameters from the prior and makes data of them; every problem of it is run.
"""
