WITH months AS (
    SELECT unnest(generate_series(date_trunc('month', $start::DATE), $end::DATE, INTERVAL 1 MONTH))::DATE AS month
), cohorts AS (
    SELECT date_trunc('month', registration_date)::DATE AS cohort_month, count(*) AS customers
    FROM dim_customer
    WHERE registration_date IS NOT NULL AND customer_id <> '(unknown)'
    GROUP BY ALL
), spent AS (
    SELECT date_trunc('month', registration_date)::DATE AS cohort_month,
        greatest(date_diff('month', date_trunc('month', registration_date), date_trunc('month', order_date)), 0)::INT AS month_index,
        count(DISTINCT customer_id) FILTER (quantity_sold > 0) AS active_customers, sum(line_item_total) AS total_spending
    FROM sold
    WHERE registration_date IS NOT NULL AND customer_id <> '(unknown)'
    GROUP BY ALL
), cells AS (
    SELECT cohort_month, date_diff('month', cohort_month, month)::INT AS month_index FROM cohorts, months WHERE month >= cohort_month
    UNION SELECT cohort_month, month_index FROM spent
)
SELECT cohort_month, month_index, customers, coalesce(active_customers, 0) AS active_customers,
    half_up(coalesce(active_customers, 0), customers, 100000000)::DECIMAL(9, 8) AS retention,
    coalesce(total_spending, 0)::DECIMAL(18, 4) AS total_spending,
    half_up(
        sum(coalesce(total_spending, 0)) OVER (PARTITION BY cohort_month ORDER BY month_index) * 10000,
        customers * 10000, 10000
    )::DECIMAL(18, 4) AS cumulative_spending_per_customer
FROM cells
JOIN cohorts USING (cohort_month)
LEFT JOIN spent USING (cohort_month, month_index)
