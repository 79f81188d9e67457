-- Of the lines with each value of a column.
SELECT {key} AS key,
    count(DISTINCT order_id) FILTER (quantity_sold > 0) AS order_count,
    count(DISTINCT customer_id) FILTER (quantity_sold > 0 AND customer_id <> '(unknown)') AS customer_count,
    count(*) AS item_count, sum(quantity_sold)::BIGINT AS quantity_sold,
    coalesce(sum(line_item_total) FILTER (quantity_sold > 0), 0)::DECIMAL(18, 4) AS gross_sales,
    coalesce(sum(line_item_total) FILTER (quantity_sold < 0), 0)::DECIMAL(18, 4) AS returns,
    sum(line_item_total)::DECIMAL(18, 4) AS net_sales
FROM sold
GROUP BY ALL
