"""Problems of known evidence in bilby form, and problems of users from scripts and modules."""
