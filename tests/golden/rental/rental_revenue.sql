-- In parts of a film that need no rounding: each of its n categories has 1/n of its money, told as money times 1/n.
WITH links AS (
    SELECT film_id, category_id, count(*) OVER (PARTITION BY film_id) AS n FROM film_category
), booked AS (
    SELECT date_trunc('month', paid_at)::DATE AS month, coalesce(copy.store_id, '(unknown)') AS store_id,
        coalesce(category_id, '(unknown)') AS category_id, coalesce(country, '(unknown)') AS country,
        amount / coalesce(n, 1) AS share
    FROM payment
    LEFT JOIN rental ON rental.rental_id = payment.rental_id
    LEFT JOIN copy USING (inventory_id)
    LEFT JOIN links USING (film_id)
    LEFT JOIN country_of ON country_of.customer_id = payment.customer_id
    WHERE paid_at::DATE BETWEEN '2022-01-01' AND '2022-12-31'
)
SELECT month, store_id, category_id, country, sum(share) AS revenue FROM booked GROUP BY ALL ORDER BY ALL
