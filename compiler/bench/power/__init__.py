"""Power: watts over exactly the windows in which counted runs ran, and apart from that when all was idle."""
