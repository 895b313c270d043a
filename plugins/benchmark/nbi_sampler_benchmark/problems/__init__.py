"""Problems of known evidence for bilby, and users' problems from scripts and modules."""
