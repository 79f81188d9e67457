"""Demand forecasts with an honest back-test, and what to reorder."""
