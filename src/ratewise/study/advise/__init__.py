"""What collecting data costs, what it buys, and which of it to choose; from a study's rows."""
