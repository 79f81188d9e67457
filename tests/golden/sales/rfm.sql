-- Scores by fifths of rows, as the source has them; of equal values all have the worst of theirs.
WITH customers AS (
    SELECT customer_key, max(order_date) FILTER (quantity_sold > 0) AS last_order_date,
        count(DISTINCT order_id) FILTER (quantity_sold > 0) AS frequency, sum(line_item_total) AS monetary
    FROM sold
    WHERE customer_id <> '(unknown)'
    GROUP BY ALL
), places AS (
    SELECT *, count(*) OVER () AS everyone,
        row_number() OVER (ORDER BY last_order_date NULLS FIRST) - 1 AS r,
        row_number() OVER (ORDER BY frequency) - 1 AS f,
        row_number() OVER (ORDER BY monetary) - 1 AS m
    FROM customers
), scored AS (
    SELECT *, 1 + min(5 * r // everyone) OVER (PARTITION BY last_order_date) AS r_score,
        1 + min(5 * f // everyone) OVER (PARTITION BY frequency) AS f_score,
        1 + min(5 * m // everyone) OVER (PARTITION BY monetary) AS m_score
    FROM places
)
SELECT customer_key, last_order_date, ($end::DATE - last_order_date)::INT AS recency_days, frequency,
    monetary::DECIMAL(18, 4) AS monetary, r_score::INT AS r_score, f_score::INT AS f_score, m_score::INT AS m_score,
    concat(r_score, f_score, m_score) AS rfm_segment
FROM scored
