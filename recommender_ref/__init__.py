"""The patient: a real PyTorch recommender that turns a user into a ranked list, under a load and with faults of its own.

It imports nothing of recwatch and is reached over HTTP only: answers at `/recommend`, measurements at `/metrics` and
`/gpu/metrics`, knobs at `/knobs`, and the truth about its faults at `/faults`.
"""
