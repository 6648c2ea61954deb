"""The agent: what runs on a board and executes what the desk sends (docs/agent-protocol.md).

The process that listens is small, has no TVM in it and runs no code of others: `agent.py` ties together the `door`
(connections in their handshake), the `queue` of clients, the `sessions`, and the `registration` with a tracker. It
forks the `template`, which has TVM's runtime loaded and forks a process for each session (`session.py`), which is there
in milliseconds. No program is started: everything is forked.
"""
