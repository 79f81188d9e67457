-- The features of each snapshot, worked out from what the sources tell: event, post, profile, and the lines of orders.
-- One row per snapshot and customer who bought in the 90 days before it.

WITH snapshot AS (
    SELECT unnest(generate_series(DATE '2024-04-01', DATE '2024-06-30', INTERVAL 7 DAY))::DATE AS snapshot_date
),

-- Whose an event without a customer was, and on which day that was known.
login AS (
    SELECT session_id, log_date AS login_date, min(event_at) AS first_at, arg_min(customer_id, event_at) AS customer_id
    FROM event WHERE customer_id IS NOT NULL GROUP BY ALL
),
owned AS (
    SELECT e.* EXCLUDE (customer_id), coalesce(e.customer_id, l.customer_id) AS customer_id,
        greatest(e.log_date, l.login_date) AS known_date, e.event_at::DATE AS event_date
    FROM event AS e
    LEFT JOIN login AS l ON e.customer_id IS NULL AND l.session_id = e.session_id
        AND l.login_date BETWEEN e.log_date - 3 AND e.log_date + 3
    QUALIFY row_number() OVER (PARTITION BY e.event_id ORDER BY l.login_date, l.first_at) = 1
),

bought AS (
    SELECT snapshot_date, b.*, snapshot_date - order_date AS age
    FROM line AS b, snapshot WHERE order_date BETWEEN snapshot_date - 90 AND snapshot_date - 1
),
purchases AS (
    SELECT
        snapshot_date, customer_id,
        count(DISTINCT order_id) FILTER (quantity > 0 AND age <= 7) AS order_count_7d,
        count(DISTINCT order_id) FILTER (quantity > 0 AND age <= 30) AS order_count_30d,
        count(DISTINCT order_id) FILTER (quantity > 0) AS order_count_90d,
        count(*) FILTER (quantity > 0 AND age <= 7) AS item_count_7d,
        count(*) FILTER (quantity > 0 AND age <= 30) AS item_count_30d,
        count(*) FILTER (quantity > 0) AS item_count_90d,
        coalesce(sum(total) FILTER (quantity >= 0 AND age <= 7), 0) AS spend_7d,
        coalesce(sum(total) FILTER (quantity >= 0 AND age <= 30), 0) AS spend_30d,
        coalesce(sum(total) FILTER (quantity >= 0), 0) AS spend_90d,
        count(*) FILTER (quantity < 0 AND age <= 7) AS return_count_7d,
        count(*) FILTER (quantity < 0 AND age <= 30) AS return_count_30d,
        count(*) FILTER (quantity < 0) AS return_count_90d,
        coalesce(sum(total) FILTER (quantity < 0 AND age <= 7), 0) AS returned_7d,
        coalesce(sum(total) FILTER (quantity < 0 AND age <= 30), 0) AS returned_30d,
        coalesce(sum(total) FILTER (quantity < 0), 0) AS returned_90d,
        min(age) FILTER (quantity > 0) AS days_since_last_order,
        count(DISTINCT category) FILTER (quantity > 0) AS category_count_90d
    FROM bought GROUP BY ALL HAVING order_count_90d > 0
),
gap AS (
    SELECT snapshot_date, customer_id, order_date - lag(order_date) OVER (
        PARTITION BY snapshot_date, customer_id ORDER BY order_date) AS days
    FROM (SELECT DISTINCT snapshot_date, customer_id, order_date FROM bought WHERE quantity > 0)
),
gaps AS (
    SELECT snapshot_date, customer_id, avg(days) AS gap_mean_days_90d, max(days) AS gap_max_days_90d,
        stddev_pop(days) AS gap_deviation_days_90d
    FROM gap GROUP BY ALL
),
top AS (
    SELECT snapshot_date, customer_id, category AS top_category_90d
    FROM bought WHERE quantity > 0 GROUP BY snapshot_date, customer_id, category
    QUALIFY row_number() OVER (PARTITION BY snapshot_date, customer_id ORDER BY count(*) DESC, category) = 1
),

seen AS (
    SELECT snapshot_date, o.*, snapshot_date - event_date AS age
    FROM owned AS o, snapshot
    WHERE event_date BETWEEN snapshot_date - 90 AND snapshot_date - 1 AND known_date < snapshot_date
),
visit AS (
    SELECT snapshot_date, customer_id, event_date, session_id, any_value(age) AS age,
        bool_or(kind = 'add_to_cart') AS has_cart, bool_or(kind = 'add_to_cart') AND bool_or(kind = 'checkout') AS is_sold
    FROM seen GROUP BY ALL
),
visits AS (
    SELECT
        snapshot_date, customer_id,
        count(*) FILTER (age <= 7) AS session_count_7d,
        count(*) FILTER (age <= 30) AS session_count_30d,
        count(*) AS session_count_90d,
        1 - count(*) FILTER (is_sold AND age <= 7) / nullif(count(*) FILTER (has_cart AND age <= 7), 0)
            AS cart_abandonment_7d,
        1 - count(*) FILTER (is_sold AND age <= 30) / nullif(count(*) FILTER (has_cart AND age <= 30), 0)
            AS cart_abandonment_30d,
        1 - count(*) FILTER (is_sold) / nullif(count(*) FILTER (has_cart), 0) AS cart_abandonment_90d,
        min(age) AS days_since_last_visit
    FROM visit GROUP BY ALL
),
events AS (
    SELECT
        snapshot_date, customer_id,
        count(*) FILTER (kind = 'view' AND age <= 7) AS view_count_7d,
        count(*) FILTER (kind = 'view' AND age <= 30) AS view_count_30d,
        count(*) FILTER (kind = 'view') AS view_count_90d,
        count(*) FILTER (kind = 'search' AND age <= 7) AS search_count_7d,
        count(*) FILTER (kind = 'search' AND age <= 30) AS search_count_30d,
        count(*) FILTER (kind = 'search') AS search_count_90d,
        count(*) FILTER (kind = 'add_to_cart' AND age <= 7) AS cart_count_7d,
        count(*) FILTER (kind = 'add_to_cart' AND age <= 30) AS cart_count_30d,
        count(*) FILTER (kind = 'add_to_cart') AS cart_count_90d
    FROM seen GROUP BY ALL
),

written AS (
    SELECT snapshot_date, p.*, snapshot_date - event_at::DATE AS age
    FROM post AS p, snapshot
    WHERE event_at::DATE BETWEEN snapshot_date - 90 AND snapshot_date - 1 AND arrival_date < snapshot_date
),
posts AS (
    SELECT
        snapshot_date, customer_id,
        count(*) FILTER (kind = 'mention' AND age <= 7) AS mention_count_7d,
        count(*) FILTER (kind = 'mention' AND age <= 30) AS mention_count_30d,
        count(*) FILTER (kind = 'mention') AS mention_count_90d,
        count(*) FILTER (kind = 'reply' AND age <= 7) AS reply_count_7d,
        count(*) FILTER (kind = 'reply' AND age <= 30) AS reply_count_30d,
        count(*) FILTER (kind = 'reply') AS reply_count_90d,
        avg(sentiment) FILTER (age <= 7) AS sentiment_mean_7d,
        avg(sentiment) FILTER (age <= 30) AS sentiment_mean_30d,
        avg(sentiment) AS sentiment_mean_90d,
        min(age) AS days_since_last_post
    FROM written GROUP BY ALL
),

known AS (
    SELECT snapshot_date, p.* EXCLUDE (extract_date, registered_at, loyalty_points),
        snapshot_date - registered_at::DATE AS tenure_days,
        CASE WHEN loyalty_points::DECIMAL(38, 6) > 1000000000 THEN 1000000000 ELSE loyalty_points::DECIMAL(38, 6) END
            AS loyalty_points
    FROM profile AS p, snapshot
    WHERE extract_date < snapshot_date
    QUALIFY rank() OVER (PARTITION BY snapshot_date ORDER BY extract_date DESC) = 1
),

label AS (
    SELECT DISTINCT snapshot_date, customer_id, false AS is_churned
    FROM line, snapshot WHERE order_date BETWEEN snapshot_date AND snapshot_date + 29 AND quantity > 0
)

SELECT
    b.snapshot_date, b.customer_id,
    COLUMNS(b.* EXCLUDE (snapshot_date, customer_id)),
    gap_mean_days_90d, gap_max_days_90d, gap_deviation_days_90d, top_category_90d,
    coalesce(COLUMNS('(session|view|search|cart|mention|reply)_count_.*'), 0),
    COLUMNS('cart_abandonment_.*'), COLUMNS('sentiment_mean_.*'),
    days_since_last_visit, days_since_last_post,
    tenure_days, country, plan, is_email_opt_in, is_sms_opt_in, is_push_opt_in, loyalty_points,
    coalesce(is_churned, true) AS is_churned
FROM purchases AS b
LEFT JOIN gaps USING (snapshot_date, customer_id)
LEFT JOIN top USING (snapshot_date, customer_id)
LEFT JOIN visits USING (snapshot_date, customer_id)
LEFT JOIN events USING (snapshot_date, customer_id)
LEFT JOIN posts USING (snapshot_date, customer_id)
LEFT JOIN known USING (snapshot_date, customer_id)
LEFT JOIN label USING (snapshot_date, customer_id)
