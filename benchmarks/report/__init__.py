"""What becomes of what was measured: samples, verdicts, tables on a terminal and in the docs."""
