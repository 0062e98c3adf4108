"""What users declare: arguments and their checks, templates, commands and programs."""
