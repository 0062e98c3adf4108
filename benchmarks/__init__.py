"""Measures how fast summon_testcase is, beside its peers and beside what the kernel allows.

``make bench`` runs it; ``docs/performance.rst`` shows its last output. In ``suites/`` each file
asks one question, from what is measured to what is required; ``peers/`` has who is measured, and
``report/`` what becomes of the samples. What is started is ``server.c``, by ``services.py``.
"""
