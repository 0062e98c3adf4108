"""One module for each question; each has a function ``run(settings)`` that gives a Result.

What must be measured in a process of its own is a function beside it, which a Worker runs. So
these modules, and what they import, import little: in some of these processes memory is measured,
or what the first start of a process costs.
"""
