"""The churn job: one training table from purchases, web activity, profiles and social activity, without the future."""
