"""The words every other room uses: tables, steps, dates, days, errors."""
