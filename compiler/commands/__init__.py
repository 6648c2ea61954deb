"""What each command of the command line does. `cli.py` parses; a module here does the work and says it to an Output."""
