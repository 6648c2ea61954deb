"""Measuring candidates on boards: a fleet of them, a process at the desk for each, and what their failures mean."""
