"""From customers, products, orders and order items to a star schema of sales."""
