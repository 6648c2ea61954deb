"""The command line, a file for each group of commands: options and help, and which function does the work.

Nothing heavy is imported before a command needs it: `--help` takes a fraction of a second.
"""
