WITH paid AS (SELECT rental_id, sum(amount) AS amount, count(*) AS n FROM payment GROUP BY ALL)
SELECT rented_at::DATE AS rental_date, rental_id, coalesce(customer.customer_id, '(unknown)') AS customer_id,
    coalesce(film.film_id, '(unknown)') AS film_id, coalesce(copy.store_id, '(unknown)') AS store_id,
    coalesce(staff.staff_id, '(unknown)') AS staff_id, rented_at, returned_at,
    rented_at::DATE + rental_duration::INTEGER AS due_date, returned_at IS NOT NULL AS is_returned,
    returned_at::DATE - rented_at::DATE AS days_out,
    CASE WHEN returned_at::DATE - rented_at::DATE > rental_duration::INTEGER
        THEN returned_at::DATE - rented_at::DATE - rental_duration::INTEGER
        WHEN returned_at IS NOT NULL AND rental_duration IS NOT NULL THEN 0 END AS days_late,
    coalesce(paid.amount, 0)::DECIMAL(18, 4) AS amount_paid, coalesce(paid.n, 0) AS payment_count
FROM rental
LEFT JOIN copy USING (inventory_id)
LEFT JOIN film USING (film_id)
LEFT JOIN customer USING (customer_id)
LEFT JOIN staff USING (staff_id)
LEFT JOIN paid USING (rental_id)
WHERE rented_at::DATE BETWEEN '2022-01-01' AND '2022-12-31'
ORDER BY ALL
