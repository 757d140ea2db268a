"""The world → Samples: what is scraped, what a Prometheus sends, this machine, the past; and canonical signals of it."""
