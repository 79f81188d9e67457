-- The sound rows of the sample, by the rules of the README and none of the job's code. Repeated rows of rental and
-- payment are alike to the last column; of the repeated customer only the id is used here.
CREATE VIEW rental AS
SELECT DISTINCT rental_id, TRY_CAST(rental_date AS TIMESTAMPTZ) AS rented_at, inventory_id, customer_id,
    TRY_CAST(return_date AS TIMESTAMPTZ) AS returned_at, staff_id
FROM read_csv($source || '/rental.csv', all_varchar = true)
WHERE rental_id <> '' AND TRY_CAST(rental_date AS TIMESTAMPTZ) IS NOT NULL;

CREATE VIEW payment AS
SELECT DISTINCT payment_id, customer_id, staff_id, rental_id, amount::DECIMAL(18, 4) AS amount,
    payment_date::TIMESTAMPTZ AS paid_at
FROM read_csv($source || '/payment.csv', all_varchar = true)
WHERE payment_id <> '' AND TRY_CAST(amount AS DECIMAL(18, 4)) IS NOT NULL
    AND TRY_CAST(payment_date AS TIMESTAMPTZ) IS NOT NULL;

CREATE VIEW copy AS SELECT * FROM read_csv($source || '/inventory.csv', all_varchar = true);
CREATE VIEW film AS SELECT * FROM read_csv($source || '/film.csv', all_varchar = true) WHERE film_id <> '';
CREATE VIEW customer AS SELECT DISTINCT customer_id, address_id FROM read_csv($source || '/customer.csv', all_varchar = true);
CREATE VIEW staff AS SELECT staff_id FROM read_csv($source || '/staff.csv', all_varchar = true);
CREATE VIEW film_category AS SELECT DISTINCT * FROM read_csv($source || '/film_category.csv', all_varchar = true);
CREATE VIEW country_of AS
SELECT customer_id, country
FROM customer
JOIN read_csv($source || '/address.csv', all_varchar = true) USING (address_id)
JOIN read_csv($source || '/city.csv', all_varchar = true) USING (city_id)
JOIN read_csv($source || '/country.csv', all_varchar = true) USING (country_id);
