"""The program that owns the services of one test process: a warden and its keepers.

It runs on its own (``python -I -S``) and imports nothing of the package around it.
The *warden* is started once per test process and forks one *keeper* per service.  A
keeper is the service's parent, its session leader, the drain of its terminal and the
reaper of whatever the service leaves behind.  Warden and keepers watch the test process
by a pidfd rather than by end-of-file alone, since a forked child of a test holds every
inherited socket open.  Whatever ends a keeper, an exception included, ends in the
sweep: nothing that the service started outlives it.
"""
