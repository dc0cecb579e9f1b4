"""Deliver entries to Loki: batches, pushes, Loki's answers, outcomes and dead letters."""
