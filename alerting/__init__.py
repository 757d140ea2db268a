"""Anomaly → Incident → message: groups anomalies into incidents, says why, and tells people once.

`grouping` decides when an incident opens, changes and ends; `diagnosis` ranks its causes; `stage` puts both on the bus;
`outbox` decides what is worth a message and hands it to `notifiers`; `explain` says why one series did or did not alarm.
"""
