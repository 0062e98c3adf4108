"""The promises of docs/reliability.rst, each under the faults that it names."""
