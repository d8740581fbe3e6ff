"""What runs replicas. A driver knows processes, containers or pods; it knows no facts and no rollouts."""
