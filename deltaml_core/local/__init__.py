"""A market on one machine: a Ganache, nodes as processes, the dashboards, all supervised by one command."""
