-- By a join of the orders with themselves, which the job has not.
WITH bought AS (
    SELECT order_id, product_key
    FROM sold
    WHERE product_id <> '(unknown)'
    GROUP BY ALL
    HAVING sum(quantity_sold) > 0
), orders AS (
    SELECT count(DISTINCT order_id) AS all_orders FROM bought
), products AS (
    SELECT product_key, count(*) AS orders FROM bought GROUP BY ALL
), pairs AS (
    SELECT one.product_key AS product_key_1, other.product_key AS product_key_2, count(*) AS order_count
    FROM bought AS one
    JOIN bought AS other ON one.order_id = other.order_id AND one.product_key < other.product_key
    GROUP BY ALL
)
SELECT product_key_1, product_key_2, order_count, half_up(order_count, all_orders, 100000000)::DECIMAL(9, 8) AS support,
    half_up(order_count, one.orders, 100000000)::DECIMAL(9, 8) AS confidence_1_to_2,
    half_up(order_count, other.orders, 100000000)::DECIMAL(9, 8) AS confidence_2_to_1,
    half_up(order_count * all_orders, one.orders * other.orders, 1000000)::DECIMAL(18, 6) AS lift
FROM pairs, orders
JOIN products AS one ON one.product_key = product_key_1
JOIN products AS other ON other.product_key = product_key_2
WHERE order_count >= 2 AND order_count >= 0.001 * all_orders
