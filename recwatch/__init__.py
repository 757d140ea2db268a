"""Performance monitoring, anomaly detection and tuning for GPU-served search and recommendation."""
