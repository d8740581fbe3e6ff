"""What people watch and ask: serving intervals, repairs, what is observed now, what replicas printed."""
