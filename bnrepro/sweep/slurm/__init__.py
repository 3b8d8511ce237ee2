"""The Slurm launcher: a sweep as one job array."""
