"""What people need to know of each other's work: who takes part in what, what waits for whom, what happened."""
