"""What all four services would otherwise write four times: log, fold, transact, views, doors. Nothing else."""
