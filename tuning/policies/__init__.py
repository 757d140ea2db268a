"""Turns an incident and the recent intervals into the least change that should mend it: one file per policy."""

from __future__ import annotations

from tuning.policies.batching import Batching
from tuning.policies.policy import Candidate, NoChange, Policy, Reading, View, no_policy
from tuning.policies.rollback import Rollback

POLICIES: dict[str, type[Batching] | type[Rollback]] = {"batching": Batching, "rollback": Rollback}

__all__ = ["POLICIES", "Batching", "Candidate", "NoChange", "Policy", "Reading", "Rollback", "View", "no_policy"]
