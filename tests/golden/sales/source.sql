-- The four statements of the source document, in DuckDB's words for strftime and JulianDay, and without the LIMIT.
CREATE VIEW source_cohort AS
WITH CustomerCohort AS (
    SELECT customer_key, strftime(registration_date, '%Y-%m') AS cohort_month FROM DimCustomer
), MonthlySales AS (
    SELECT fs.customer_key, strftime(dt.date, '%Y-%m') AS order_month, SUM(fs.line_item_total) AS monthly_spending
    FROM FactSales fs JOIN DimTime dt ON fs.time_key = dt.time_key
    GROUP BY fs.customer_key, order_month
), CohortActivity AS (
    SELECT cc.cohort_month, ms.order_month, SUM(ms.monthly_spending) AS total_spending
    FROM CustomerCohort cc JOIN MonthlySales ms ON cc.customer_key = ms.customer_key
    GROUP BY cc.cohort_month, ms.order_month
), CohortIndex AS (
    SELECT cohort_month, order_month,
        (CAST(substr(order_month, 1, 4) AS INTEGER) - CAST(substr(cohort_month, 1, 4) AS INTEGER)) * 12 +
        (CAST(substr(order_month, 6, 2) AS INTEGER) - CAST(substr(cohort_month, 6, 2) AS INTEGER)) AS month_index,
        total_spending
    FROM CohortActivity
)
SELECT cohort_month, month_index, SUM(total_spending) AS total_spending
FROM CohortIndex
GROUP BY cohort_month, month_index;

CREATE VIEW source_co_purchase AS
WITH OrderProducts AS (
    SELECT order_id, product_key FROM FactSales GROUP BY order_id, product_key
)
SELECT p1.product_name AS product1, p2.product_name AS product2, COUNT(*) AS co_purchase_count
FROM OrderProducts op1
JOIN OrderProducts op2 ON op1.order_id = op2.order_id AND op1.product_key < op2.product_key
JOIN DimProduct p1 ON op1.product_key = p1.product_key
JOIN DimProduct p2 ON op2.product_key = p2.product_key
GROUP BY p1.product_name, p2.product_name;

CREATE VIEW source_rfm AS
WITH CustomerSales AS (
    SELECT customer_key, MAX(dt.date) AS last_order_date, COUNT(DISTINCT fs.order_id) AS frequency,
        SUM(fs.line_item_total) AS monetary_value
    FROM FactSales fs JOIN DimTime dt ON fs.time_key = dt.time_key
    GROUP BY customer_key
), RFM_Scores AS (
    SELECT customer_key, last_order_date, frequency, monetary_value,
        NTILE(5) OVER (ORDER BY last_order_date DESC) AS r_score,
        NTILE(5) OVER (ORDER BY frequency ASC) AS f_score,
        NTILE(5) OVER (ORDER BY monetary_value ASC) AS m_score
    FROM CustomerSales
)
SELECT r.customer_key, c.name AS customer_name, r.last_order_date, r.frequency, r.monetary_value, r.r_score, r.f_score,
    r.m_score, (CAST(r.r_score AS TEXT) || CAST(r.f_score AS TEXT) || CAST(r.m_score AS TEXT)) AS rfm_segment
FROM RFM_Scores r JOIN DimCustomer c ON r.customer_key = c.customer_key;

CREATE VIEW source_clv AS
WITH CustomerMetrics AS (
    SELECT customer_key, COUNT(DISTINCT order_id) AS total_orders, SUM(line_item_total) AS total_spending,
        CAST((julian(MAX(dt.date)) - julian(MIN(dt.date))) AS REAL) / 365.25 AS customer_lifespan_years
    FROM FactSales fs JOIN DimTime dt ON fs.time_key = dt.time_key
    GROUP BY customer_key
), CLV_Calculation AS (
    SELECT customer_key, total_spending, total_orders, customer_lifespan_years,
        CASE WHEN total_orders > 0 THEN total_spending * 1.0 / total_orders ELSE 0 END AS average_purchase_value,
        CASE WHEN customer_lifespan_years > 0 THEN total_orders * 1.0 / customer_lifespan_years ELSE 0 END
            AS purchase_frequency_per_year
    FROM CustomerMetrics
)
SELECT clv.customer_key, c.name AS customer_name, clv.total_spending, clv.total_orders, clv.customer_lifespan_years,
    clv.average_purchase_value, clv.purchase_frequency_per_year
FROM CLV_Calculation clv JOIN DimCustomer c ON clv.customer_key = c.customer_key;
