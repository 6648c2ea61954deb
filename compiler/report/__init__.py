"""Results and progress for people: tables and moving lines on a terminal, plain lines everywhere else."""
