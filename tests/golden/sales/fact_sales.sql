-- fact_sales of the sample, by the rules of the README and none of the job's code. A text that is no number or no date
-- is null; ISO dates and plain numbers are all that the sample has of sound ones.
WITH customers AS (
    SELECT DISTINCT trim(customer_id) AS customer_id
    FROM read_csv($source || '/customers.csv', all_varchar = true)
    WHERE trim(customer_id) <> ''
        AND (trim(registration_date) = '' OR registration_date IS NULL
            OR (TRY_CAST(trim(registration_date) AS DATE) IS NOT NULL AND trim(registration_date) LIKE '____-__-__'))
), products AS (
    SELECT DISTINCT trim(product_id) AS product_id
    FROM read_csv($source || '/products.csv', all_varchar = true)
    WHERE trim(product_id) <> ''
        AND (price IS NULL OR TRY_CAST(trim(price) AS DECIMAL(18, 4)) >= 0)
        AND (stock_quantity IS NULL OR regexp_full_match(trim(stock_quantity), '[+-]?[0-9]+'))
), orders AS (
    SELECT trim(order_id) AS order_id, nullif(trim(customer_id), '') AS customer_id,
        TRY_CAST(trim(order_date) AS TIMESTAMP) AS ordered_at,
        row_number() OVER (
            PARTITION BY trim(order_id) ORDER BY nullif(trim(customer_id), '') NULLS FIRST, trim(order_date)
        ) AS place
    FROM read_csv($source || '/orders.csv', all_varchar = true)
    WHERE trim(order_id) <> '' AND TRY_CAST(trim(order_date) AS TIMESTAMP) IS NOT NULL
        AND trim(order_date) LIKE '____-__-__%'
), items AS (
    SELECT trim(order_item_id) AS order_item_id, trim(order_id) AS order_id, nullif(trim(product_id), '') AS product_id,
        trim(quantity)::INTEGER AS quantity, trim(price_per_item)::DECIMAL(18, 4) AS price,
        row_number() OVER (
            PARTITION BY trim(order_item_id)
            ORDER BY trim(order_id), nullif(trim(product_id), '') NULLS FIRST, trim(quantity), trim(price_per_item)
        ) AS place
    FROM read_csv($source || '/order_items.csv', all_varchar = true)
    WHERE trim(order_item_id) <> '' AND trim(order_id) <> ''
        AND regexp_full_match(trim(quantity), '[+-]?[0-9]+')
        AND TRY_CAST(trim(price_per_item) AS DECIMAL(18, 4)) >= 0
)
SELECT
    ordered_at::DATE AS order_date, order_item_id, order_id, coalesce(customers.customer_id, '(unknown)'),
    coalesce(products.product_id, '(unknown)'), quantity, price, (quantity * price)::DECIMAL(18, 4), quantity < 0,
    strftime(ordered_at, '%Y%m%d')::INTEGER
FROM items
JOIN orders USING (order_id)
LEFT JOIN customers USING (customer_id)
LEFT JOIN products USING (product_id)
WHERE items.place = 1 AND orders.place = 1 AND ordered_at::DATE BETWEEN '2024-01-01' AND '2024-03-31'
ORDER BY ALL
