"""The output of a service: its log on disk, and the lines that errors and reports show."""
