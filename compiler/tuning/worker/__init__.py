"""What runs in a worker process: building a candidate, measuring one. The tuning process imports none of it."""
