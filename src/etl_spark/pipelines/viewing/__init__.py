"""From a TV platform's daily logs to one row per customer: what they watch, how much, how often, what changed."""
