"""The distributed deployment on this machine alone: real brokers, a served store, a process for every role.

For tests, benchmarks, fault runs and `make demo-kafka`; nothing that ships imports it.
"""
