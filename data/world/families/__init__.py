"""The families of tasks, one file for each group that shares its truth."""
