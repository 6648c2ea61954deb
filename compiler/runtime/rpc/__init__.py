"""The desk's side of boards: reaching an agent, and a session on it. docs/agent-protocol.md says what is spoken."""
