"""Analyses beside the result rows: which stages they need, and tables of what those found."""
