"""From a film-rental shop's database to a star schema of its rentals and payments."""
