"""Training learned codecs: settings, patches of photographs, the objective, and the runs."""
