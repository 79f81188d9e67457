SELECT paid_at::DATE AS payment_date, payment_id, payment.rental_id, coalesce(customer.customer_id, '(unknown)'),
    coalesce(film.film_id, '(unknown)'), coalesce(copy.store_id, '(unknown)'), coalesce(staff.staff_id, '(unknown)'),
    paid_at, amount, rental.rental_id IS NULL AS is_without_rental,
    coalesce(paid_at < rented_at, false) AS is_before_rental,
    coalesce(payment.customer_id <> rental.customer_id, false) AS is_by_other_customer
FROM payment
LEFT JOIN rental ON rental.rental_id = payment.rental_id
LEFT JOIN copy USING (inventory_id)
LEFT JOIN film USING (film_id)
LEFT JOIN customer ON customer.customer_id = payment.customer_id
LEFT JOIN staff ON staff.staff_id = payment.staff_id
WHERE paid_at::DATE BETWEEN '2022-01-01' AND '2022-12-31'
ORDER BY ALL
