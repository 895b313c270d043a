"""Files that survive a crash and execute nothing when they are read: archives and growing tables."""
