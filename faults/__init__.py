"""Fault runs: recwatch as many real processes that are killed, paused and misled, and then counted against its source.

Run by `make faults`; nothing that ships imports it.
"""
