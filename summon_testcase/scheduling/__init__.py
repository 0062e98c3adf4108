"""When who goes on: deadlines, steps that many starts and stops share, the graph of services."""
