"""Results: samples, verdicts, tables on a terminal and in the documentation."""
