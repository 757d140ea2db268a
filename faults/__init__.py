"""Fault runs: recwatch as many real processes, which are killed, paused and misled, and afterwards counted against its source.

Run by `make faults`; nothing that ships imports it.
"""
