"""The world → Samples: scrapes the targets of a service, reads this machine, and makes canonical signals of both."""
