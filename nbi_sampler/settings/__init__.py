"""Keywords and text of configuration files to settings, and where torch works."""
