"""Turns an Incident and recent Samples into a Proposal, and an approved Proposal into an Action, verified or undone."""
