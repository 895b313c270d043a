"""Files that outlive a crash and execute nothing when they are read: archives and tables that grow."""
