"""`python -m recommender_ref` is `recwatch-recommender`."""

from recommender_ref.cli import app

app()
