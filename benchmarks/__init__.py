"""How fast summon_testcase is, beside its peers and beside what the kernel allows.

``make bench`` runs it; ``docs/performance.rst`` shows its last output.
"""
