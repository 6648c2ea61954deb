"""What a board's sensors read: temperatures, power, clocks, throttling. One file for each place where Linux has them.

Every reader takes the `root` of the file system, and leaves out what it cannot read.
"""
