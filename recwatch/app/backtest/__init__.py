"""History → what configurations of detection would have told of it: `recwatch backtest`."""
