"""The agent for a board without Python: its C++ sources, and what makes a folder of them that runs there."""
