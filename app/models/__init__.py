"""ORM tables, and nothing else."""
