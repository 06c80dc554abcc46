"""Studies: which stages a study file asks for, running them, and the rows they give."""
