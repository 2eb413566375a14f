"""How a step tells what it is doing: bars on a terminal, lines in a log, nothing in a test."""
