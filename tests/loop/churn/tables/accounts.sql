-- When a customer joined, as an event.
SELECT customer_id, country, plan, joined_at
FROM customers
