"""One module for each question; each has a function ``run(settings)`` that gives a Result."""
