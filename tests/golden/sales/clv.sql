WITH customers AS (
    SELECT customer_key, count(DISTINCT order_id) FILTER (quantity_sold > 0) AS order_count,
        sum(line_item_total) AS total_spending,
        min(order_date) FILTER (quantity_sold > 0) AS first_order_date,
        max(order_date) FILTER (quantity_sold > 0) AS last_order_date,
        count(DISTINCT order_date) FILTER (quantity_sold > 0) AS days
    FROM sold
    WHERE customer_id <> '(unknown)'
    GROUP BY ALL
)
SELECT customer_key, order_count, total_spending::DECIMAL(18, 4) AS total_spending, first_order_date, last_order_date,
    half_up((last_order_date - first_order_date) * 100, 36525, 1000000)::DECIMAL(9, 6) AS lifespan_years,
    half_up(total_spending * 10000, order_count * 10000, 10000)::DECIMAL(18, 4) AS average_purchase_value,
    half_up(order_count * 36525, (last_order_date - first_order_date) * 100, 1000000)::DECIMAL(18, 6) AS orders_per_year,
    (nullif(days, 0) - 1)::INT AS repeat_purchases
FROM customers
